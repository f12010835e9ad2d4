// Bodies that a parser in front of the proxy has read already.
import { PassThrough, Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import express, { type RequestHandler } from 'express';
import { reply, startBackends } from './support/backend.js';
import { FORM, received, startBehind } from './support/behind.js';
import { requestLine } from './support/log-lines.js';
import { get, startProxyWith } from './support/proxy.js';

const keepRaw = express.json({
  verify(req, _res, bytes) {
    Object.assign(req, { rawBody: Buffer.from(bytes) });
  },
});
const json = express.json();
const looseJson = express.json({ strict: false });
const anyText = express.text({ type: '*/*' });
const spaced = '{ "b": 1.0,\n "a": "\\u00e4" }';
const latin1 = Buffer.from('caf\xe9', 'latin1');
const binary = Buffer.from(Array.from({ length: 512 }, (_, i) => i % 256));

describe('a parsed body is sent again, byte by byte', () => {
  const rows: [parser: string, RequestHandler, type: string, body: Buffer | string][] = [
    ['json()', json, 'application/json', '{"a":1,"b":["ä",null,true],"c":{"d":"x"}}'],
    ['json() with a charset', json, 'application/json; charset=utf-8', '{"ä":"ö"}'],
    ['json() of an array', json, 'application/json', '[1,[2],{}]'],
    ['json() of nothing in it', json, 'application/json', '{}'],
    [
      'json() of a type of its own',
      express.json({ type: '*/*+json' }),
      'application/vnd.api+json',
      '{"a":1}',
    ],
    ['json() that takes a number', looseJson, 'application/json', '5'],
    ['json() that takes null', looseJson, 'application/json', 'null'],
    ['json() that takes a string', looseJson, 'application/json', '"text"'],
    ['json() with rawBody', keepRaw, 'application/json', spaced],
    [
      'urlencoded()',
      express.urlencoded({ extended: false }),
      FORM,
      'a=1&a=2&b=two+words&c=%C3%A4%26%3D',
    ],
    ['urlencoded() of brackets', express.urlencoded({ extended: false }), FORM, 'a%5Bb%5D=1&c='],
    ['text()', express.text(), 'text/plain; charset=utf-8', 'plain ä\r\n'],
    ['text() without a charset', express.text(), 'text/plain', 'plain ä'],
    ['text() in latin1', express.text(), 'text/plain; charset=iso-8859-1', latin1],
    ['text() of JSON', anyText, 'application/json', spaced],
    ['text() of a form', anyText, FORM, 'b=1&a=x+y'],
    ['text() of XML', anyText, 'application/xml', '<a b="c"/>'],
    ['raw()', express.raw(), 'application/octet-stream', binary],
    ['raw() of JSON', express.raw({ type: '*/*' }), 'application/json', spaced],
  ];
  it.each(rows)('%s', async (_parser, middleware, type, body) => {
    const arrived = await received(middleware, type, body);

    expect(arrived.body.toString('latin1')).toBe(Buffer.from(body as string).toString('latin1'));
    expect(arrived.headers['content-type']).toBe(type);
  });
});

describe('a parsed body is sent again', () => {
  it('with the same meaning where json() has lost the spaces', async () => {
    const { body } = await received(json, 'application/json', spaced);

    expect(JSON.parse(String(body))).toEqual(JSON.parse(spaced));
  });

  it.each([
    'a=1&a=2&b=x',
    'tags[]=1',
    'tags[]=1&tags[]=2',
    'user[name]=x+y&user[mail]=a%40b&user[tags][]=1&user[tags][]=2',
    'list[0][id]=7&list[0][n]=a&list[1][id]=8',
    'deep[a][b][c]=1&empty=&%C3%A4=%F0%9F%98%80',
    'a%26b=c%3Dd&plus=1%2B1',
  ])('with the same meaning where the extended urlencoded() has read %s', async (form) => {
    const parsed: unknown[] = [];
    const parsing = (): express.Express =>
      express().use(express.urlencoded({ extended: true }), (req, _res, next) => {
        parsed.push(structuredClone(req.body));
        next();
      });
    const [backend] = await startBackends(reply(200));
    const inner = await startProxyWith({ target: backend.url }, { app: parsing() });
    const outer = await startProxyWith({ target: inner.url }, { app: parsing() });

    await get(outer.url, { method: 'POST', body: form, headers: { 'Content-Type': FORM } });

    expect(parsed).toHaveLength(2);
    expect(parsed[1]).toEqual(parsed[0]);
    expect(parsed[0]).not.toEqual({});
  });

  it('in UTF-8, and says so, where its charset is one that Node cannot write', async () => {
    const body = Buffer.from([0x80, 0x20, 0xe4]); // '€ ä'
    const arrived = await received(express.text(), 'text/plain; charset=windows-1252', body);

    expect(arrived.headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(String(arrived.body)).toBe('€ ä');
  });

  it.each([
    ['json()', json],
    ['json() with rawBody', keepRaw],
    ['raw()', express.raw({ type: '*/*' })],
  ])('without its coding, for %s has inflated it', async (_parser, middleware) => {
    const body = '{"a":"aaaaaaaaaaaaaaaaaaaaaaaaaaaa"}';
    const coding = { 'Content-Encoding': 'gzip' };
    const arrived = await received(middleware, 'application/json', gzipSync(body), coding);

    expect(arrived.headers['content-encoding']).toBeUndefined();
    expect(String(arrived.body)).toBe(body);
  });

  it('when it was sent in chunks', async () => {
    const { url, backends } = await startBehind(json);
    const body = Readable.from(['{"a":', '1}']);

    await get(url, { method: 'POST', body, headers: { 'Content-Type': 'application/json' } });

    expect(backends[0]?.received[0]).toMatchObject({ headers: { 'content-length': '7' } });
    expect(String(backends[0]?.received[0]?.body)).toBe('{"a":1}');
  });

  it('when there was nothing in its chunks', async () => {
    const { url, backends } = await startBehind(json);
    const headers = { 'Content-Type': 'application/json' };

    const response = await get(url, { method: 'POST', body: Readable.from([]), headers });

    expect(response.status).toBe(200);
    expect(backends[0]?.received[0]?.body).toHaveLength(0);
  });

  it('on every attempt, whatever its size', async () => {
    const parser = express.json({ limit: '2mb' });
    const handlers = [reply(500), reply(500), reply(200)];
    const retry = { maxBodyBytes: 10, maxTotalBytes: 10 };
    const { url, backends } = await startBehind(parser, handlers, { retry });
    const body = JSON.stringify({ long: 'x'.repeat(1_000_000) });

    const init = { method: 'PUT', body, headers: { 'Content-Type': 'application/json' } };

    expect((await get(url, init)).status).toBe(200);
    for (const backend of backends) expect(String(backend.received[0]?.body)).toBe(body);
  });

  it('once, when it is a POST that fails', async () => {
    const { url, backends } = await startBehind(json, [reply(500), reply(200)]);
    const headers = { 'Content-Type': 'application/json' };

    expect((await get(url, { method: 'POST', body: '{}', headers })).status).toBe(500);
    expect(backends.map(({ started }) => started)).toEqual([1, 0]);
  });
});

describe('a body that no parser has read', () => {
  /** Express 4's parsers leave `{}` where there was nothing for them. */
  const leavesEmptyObject: RequestHandler = (req, _res, next) => {
    req.body ??= {};
    next();
  };

  it.each([
    ['behind a parser of another type', json],
    ['behind a middleware that sets req.body to {}', leavesEmptyObject],
  ])('streams on %s', async (_what, middleware) => {
    const { url, backends } = await startBehind(middleware);
    const body = new PassThrough();

    const headers = { 'Content-Type': 'multipart/form-data; boundary=x' };
    const answer = get(url, { method: 'POST', body, headers });
    body.write('--x\r\n');
    body.end(binary);

    expect((await answer).status).toBe(200);
    expect(backends[0]?.received[0]?.body.subarray(5)).toEqual(binary);
  });

  it.each(['GET', 'POST'])('and is not there: a %s stays without one', async (method) => {
    const { url, backends } = await startBehind(leavesEmptyObject);

    await get(url, { method, headers: { 'Content-Type': 'application/json' } });

    const { body, headers } = backends[0]!.received[0]!;
    expect(body).toHaveLength(0);
    expect(headers['transfer-encoding']).toBeUndefined();
    expect(headers['content-length'] ?? '0').toBe('0');
  });
});

describe('a parsed body that cannot be sent again is 500 BODY_CONSUMED', () => {
  const eaten: RequestHandler = (req, _res, next) => {
    req.resume().once('end', () => next());
  };
  const parsedToObject: RequestHandler = (req, _res, next) => {
    req.body = { field: 'value' };
    eaten(req, _res, next);
  };
  const readInPart: RequestHandler = (req, _res, next) => {
    req.once('data', () => {
      req.pause();
      next();
    });
  };
  const rows: [what: string, RequestHandler, type: string][] = [
    ['a multipart that a middleware has eaten', eaten, 'multipart/form-data; boundary=x'],
    ['a multipart that was parsed', parsedToObject, 'multipart/form-data; boundary=x'],
    ['JSON that nobody has kept', eaten, 'application/json'],
    ['a form that nobody has kept', eaten, FORM],
    ['one that was read in part', readInPart, 'application/json'],
  ];
  it.each(rows)('%s', async (_what, middleware, type) => {
    const { url, backends, proxy, log } = await startBehind(middleware);
    const body = new PassThrough();

    const answer = get(url, { method: 'PUT', body, headers: { 'Content-Type': type } });
    body.write('first');
    body.end('last');

    const response = await answer;
    expect(JSON.parse(response.text)).toMatchObject({ status: 500, code: 'BODY_CONSUMED' });
    expect(await requestLine(log)).toMatchObject({ status: 500, hops: [], noRetry: '-' });
    expect(log.find((line) => line.includes('BODY_CONSUMED'))).toContain(type.split(';')[0]);
    expect(backends[0]?.started).toBe(0);
    expect(proxy.status().backends[0]).toMatchObject({ attempts: 0, failures: 0 });
  });
});
