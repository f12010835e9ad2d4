// Bodies that a parser has read: their codings, their charsets, strings as JSON, and empty ones.
import { PassThrough, Readable } from 'node:stream';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import express, { type RequestHandler } from 'express';
import { reply } from './support/backend.js';
import { FORM, received, startBehind } from './support/behind.js';
import { type ClientInit, get } from './support/proxy.js';
import { sendRaw } from './support/raw.js';

const JSON_TYPE = 'application/json';
const json = express.json();
const looseJson = express.json({ strict: false });
const anyText = express.text({ type: '*/*' });
const verify = (req: object, _res: unknown, bytes: Buffer): void =>
  void Object.assign(req, { rawBody: bytes });

/** The bytes of an upload in chunks. */
const inChunks = (body: Buffer | string): Readable => Readable.from([Buffer.from(body)]);

async function expectConsumed(
  middleware: RequestHandler | RequestHandler[],
  type: string,
  init: ClientInit,
): Promise<void> {
  const { url, backends, log } = await startBehind(middleware);
  const headers = { 'Content-Type': type, ...init.headers };

  const { status, text } = await get(url, { method: 'POST', ...init, headers });
  expect([status, JSON.parse(text).code]).toEqual([500, 'BODY_CONSUMED']);
  expect(log.join('\n')).toContain('rawBody');
  expect(backends[0]?.started).toBe(0);
}

describe('a body with a content coding', () => {
  // Express 4 answers brotli with a 415 by itself.
  const codings: [string, (bytes: string) => Buffer][] = [
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ...(process.env.EXPRESS === '4' ? [] : [['br', brotliCompressSync] as never]),
  ];
  const parsers: [string, RequestHandler, type: string, body: string][] = [
    ['json()', json, JSON_TYPE, '{"a":"b"}'],
    ['json() and verify', express.json({ verify }), JSON_TYPE, '{ "a" : "b" }'],
    ['urlencoded()', express.urlencoded({ extended: true }), FORM, 'a=1&b=2'],
    ['urlencoded() and verify', express.urlencoded({ extended: true, verify }), FORM, 'a&b[]=%20'],
    ['text()', express.text(), 'text/plain', 'plain ä'],
    ['raw()', express.raw(), 'application/octet-stream', 'raw ä'],
  ];
  const rows = codings.flatMap(([coding, encode]) =>
    parsers.flatMap(([parser, middleware, type, body]) =>
      ['with its length', 'in chunks'].map(
        (framing) => [coding, parser, framing, { encode, middleware, type, body }] as const,
      ),
    ),
  );

  it.each(rows)('goes on without it: %s, %s, %s', async (coding, _parser, framing, row) => {
    const encoded = row.encode(row.body);
    const sent = framing === 'in chunks' ? inChunks(encoded) : encoded;

    const { body, headers } = await received(row.middleware, row.type, sent, {
      'Content-Encoding': coding,
    });
    expect([String(body), headers['content-encoding']]).toEqual([row.body, undefined]);
  });

  it.each(['rawBody', 'body'])(
    'keeps it where a reader of the app’s own has kept it: %s',
    async (field) => {
      const collects: RequestHandler = async (req, _res, next) => {
        Object.assign(req, { [field]: Buffer.concat(await req.toArray()) });
        next();
      };
      const encoded = gzipSync('{"a":"b"}');

      const coding = { 'Content-Encoding': 'gzip' };
      const { body, headers } = await received(collects, JSON_TYPE, encoded, coding);
      expect(body).toEqual(encoded);
      expect(headers['content-encoding']).toBe('gzip');
    },
  );
});

describe('a body in another charset', () => {
  const everyByte = Buffer.from(Array.from({ length: 256 }, (_, i) => i));

  it.each([
    ['iso-8859-1', everyByte],
    ['"ISO-8859-1"', everyByte],
    ['utf-16le', Buffer.from('ä€😀', 'utf16le')],
    ['us-ascii', Buffer.from('ascii')],
    ['UTF-8', Buffer.from('ä€😀')],
  ])('is sent byte by byte: text() in %s', async (charset, bytes) => {
    const type = `text/plain; charset=${charset}`;
    const { body, headers } = await received(express.text(), type, bytes);

    expect([body.toString('hex'), headers['content-type']]).toEqual([bytes.toString('hex'), type]);
  });

  const utf16 = (text: string): Buffer => Buffer.from(`\ufeff${text}`, 'utf16le');
  it.each([
    ['utf-16', utf16('plain ä я 語'), 'plain ä я 語'],
    ['utf-16be', utf16('plain ä я 語').swap16(), 'plain ä я 語'],
    ['windows-1252', Buffer.from('80e4', 'hex'), '€ä'],
    ['koi8-r', Buffer.from('d1', 'hex'), 'я'],
    ['shift_jis', Buffer.from('8cea', 'hex'), '語'],
  ])('is sent in UTF-8, and says so: text() in %s', async (charset, bytes, text) => {
    const type = `text/plain; Charset="${charset}"; format=flowed`;
    const { body, headers } = await received(express.text(), type, bytes);

    expect(headers['content-type']).toBe('text/plain; Charset=utf-8; format=flowed');
    expect(String(body)).toBe(text);
  });

  const pretty = '{ "ä": [ "€", "😀" ] }';
  it.each([
    ['utf-8', Buffer.from(`\ufeff${pretty}`)],
    ['utf-16', utf16(pretty)],
    ['utf-16le', utf16(pretty)],
    ['utf-16be', utf16(pretty).swap16()],
  ])('has the same meaning: json() in %s', async (charset, bytes) => {
    const { body, headers } = await received(json, `${JSON_TYPE}; charset=${charset}`, bytes);

    const [, sent = ''] = /charset=(.*)/.exec(headers['content-type']!) ?? [];
    expect(JSON.parse(new TextDecoder(sent).decode(body))).toEqual(JSON.parse(pretty));
  });

  it('is sent byte by byte where verify has kept it', async () => {
    const bytes = utf16('{ "ä" : 1 }');
    const type = `${JSON_TYPE}; charset=utf-16`;
    const { body, headers } = await received(express.json({ verify }), type, bytes);

    expect([body.toString('hex'), headers['content-type']]).toEqual([bytes.toString('hex'), type]);
  });
});

describe('a string that was sent as JSON', () => {
  const texts = ['"123"', '"true"', '"null"', '"x"', '""', '"\\"quoted\\""', '"ä€"'];

  it.each(texts)('stays one where json() has read it: %s', async (text) => {
    expect(String((await received(looseJson, JSON_TYPE, text)).body)).toBe(text);
  });

  it.each([...texts, '123', 'true', 'null', '{"a": 1}', '["x"]', ' 1 ', 'no JSON'])(
    'is not made one where text() has read it: %s',
    async (text) => {
      expect(String((await received(anyText, JSON_TYPE, text)).body)).toBe(text);
    },
  );

  it.each([
    ['json()', looseJson],
    ['text()', anyText],
  ])('cannot be told apart without its length, in chunks or gzip: %s', async (_parser, parser) => {
    await expectConsumed(parser, JSON_TYPE, { body: inChunks('"123"') });
    const body = gzipSync('"123"');
    await expectConsumed(parser, JSON_TYPE, { body, headers: { 'Content-Encoding': 'gzip' } });
  });

  it('nor by a length that fits neither', async () => {
    await expectConsumed(looseJson, JSON_TYPE, { body: ' "a\\u0062" ' });
  });

  it('is sent as it came where verify has kept it', async () => {
    const kept = express.json({ strict: false, verify });

    const { body } = await received(kept, JSON_TYPE, inChunks(' "123" '));
    expect(String(body)).toBe(' "123" ');
  });
});

describe('what cannot be made again', () => {
  const cyclic: Record<string, unknown> = {};
  cyclic.self = cyclic;
  it.each<[string, type: string, unknown]>([
    ['a bigint', JSON_TYPE, { a: 1n }],
    ['a cycle', JSON_TYPE, cyclic],
    ['a function', JSON_TYPE, () => {}],
    ['a cycle in a form', FORM, cyclic],
    ['an object of another type', 'application/xml', { a: 1 }],
    ['an object without a type', '', { a: 1 }],
    ['the {} that Express 4 leaves', JSON_TYPE, {}],
    ['the {} that Express 4 leaves for a form', FORM, {}],
  ])('is BODY_CONSUMED: %s', async (_what, type, value) => {
    const replaced: RequestHandler = (req, _res, next) => {
      req.body = value;
      req.resume().once('end', () => next());
    };

    await expectConsumed(replaced, type, { body: '{"a":"something else"}' });
  });

  it('but an empty object is, with its spaces', async () => {
    expect(String((await received(json, JSON_TYPE, ' { } \n')).body)).toBe('{}');
    expect(String((await received(json, JSON_TYPE, inChunks('{}'))).body)).toBe('{}');
  });

  it.each(['text/json', 'model/gltf+json', 'application/problem+json;a=b'])(
    'is made again from a type of JSON: %s',
    async (type) => {
      const parser = express.json({ type: '*/*' });
      expect(String((await received(parser, type, '{"a":1}')).body)).toBe('{"a":1}');
    },
  );
});

describe('an empty body', () => {
  const parsers: [string, RequestHandler][] = [
    ['json()', express.json({ type: '*/*' })],
    ['json() and verify', express.json({ type: '*/*', verify })],
    ['urlencoded()', express.urlencoded({ type: '*/*', extended: true })],
    ['text()', anyText],
    ['raw()', express.raw({ type: '*/*' })],
  ];
  const types = [JSON_TYPE, FORM, 'text/plain'];

  it.each(parsers.flatMap(([name, parser]) => types.map((type) => [name, type, parser] as const)))(
    'stays one: %s, %s',
    async (_name, type, parser) => {
      expect((await received(parser, type, '')).body).toHaveLength(0);
      expect((await received(parser, type, Readable.from([]))).body).toHaveLength(0);
    },
  );

  it('stays one behind two parsers', async () => {
    const { body } = await received([json, anyText], JSON_TYPE, Readable.from([]));
    expect(body).toHaveLength(0);
  });
});

describe('a multipart that a middleware like multer has read', () => {
  const TYPE = 'multipart/form-data; boundary=x';
  const PARTS = '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nvalue\r\n--x--\r\n';
  const LAST = '--x--';

  /** Goes on at the last boundary, before the request has ended, as busboy does. */
  const toBoundary: RequestHandler = (req, _res, next) => {
    if (req.method === 'GET') return next();
    const parser = new PassThrough();
    let read = '';
    parser.on('data', (chunk: Buffer) => {
      read += chunk;
      if (!read.includes(LAST)) return;
      parser.removeAllListeners('data');
      req.unpipe(parser);
      req.body = { a: 'value' };
      next();
    });
    req.pipe(parser);
  };
  const toEnd: RequestHandler = async (req, _res, next) => {
    await req.toArray();
    req.body = { a: 'value' };
    next();
  };
  const readers: [string, RequestHandler][] = [
    ['to its end', toEnd],
    ['to its last boundary', toBoundary],
  ];

  it.each(
    readers.flatMap(([name, reader]) =>
      ['POST', 'PUT'].map((method) => [name, method, reader] as const),
    ),
  )('is a 500 at once: %s, %s', async (_name, method, reader) => {
    await expectConsumed(reader, TYPE, { method, body: PARTS });
    await expectConsumed(reader, TYPE, { method, body: inChunks(PARTS) });
  });

  it.each(['POST', 'PUT'])('does not hold up its connection with its rest: %s', async (method) => {
    const { port, backends } = await startBehind(toBoundary, [reply(200)]);
    const rest = 'x'.repeat(2_000_000);
    const size = (PARTS.length + rest.length).toString();
    const head = `${method} / HTTP/1.1\r\nHost: x\r\nContent-Type: ${TYPE}\r\nContent-Length: ${size}`;

    const { responses } = await sendRaw(
      port,
      [
        { write: `${head}\r\n\r\n${PARTS}` },
        { waitFor: (arrived) => arrived.includes('BODY_CONSUMED') },
        { write: `${rest}GET / HTTP/1.1\r\nHost: x\r\n\r\n` },
      ],
      { until: 2 },
    );
    expect(responses.map(({ status }) => status)).toEqual([500, 200]);
    expect(backends[0]?.started).toBe(1);
  });
});
