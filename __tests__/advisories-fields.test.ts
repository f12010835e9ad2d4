// What clients have done to other proxies by their fields, by the advisory that tells of it.
import { describe, expect, it } from '@jest/globals';
import express, { type ErrorRequestHandler, type RequestHandler } from 'express';
import { fixRequestBody } from 'http-proxy-middleware';
import type { TinyProxyOptions } from '../src/index.js';
import { valuesOf } from './support/raw.js';
import { get, head, post } from './support/raw-requests/row.js';
import { startWatched } from './support/watched.js';

/** An app with this in front of the proxy. */
function behind(...handlers: (RequestHandler | ErrorRequestHandler)[]) {
  const app = express();
  for (const handler of handlers) app.use(handler);
  return { app };
}

/** The parser has failed; the app goes on all the same. */
const goOn: ErrorRequestHandler = (_error, _req, _res, next) => next();

describe('a Connection field', () => {
  const ID = 'X-Request-ID: night-1';
  const NAMES = 'X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, X-Request-ID, X-Key, Via';

  it('takes nothing away that the proxy adds: CVE-2026-33805', async () => {
    const send = await startWatched({
      headers: { 'X-Key': 'secret' },
      via: 'edge',
      director: ({ headers }) => {
        headers['x-director'] = '1';
      },
    });

    const { requests } = await send(get('/', `Connection: close, ${NAMES}, X-Director`, ID));

    const values = (name: string): string[] => valuesOf(requests[0]!, name);
    expect(values('x-forwarded-for')).toEqual(['127.0.0.1']);
    expect(values('x-forwarded-proto')).toEqual(['http']);
    expect(values('x-forwarded-host')).toEqual(['h']);
    expect(values('x-request-id')).toEqual(['night-1']);
    expect(values('x-key')).toEqual(['secret']);
    expect(values('via')).toEqual(['1.1 edge']);
    expect(values('x-director')).toEqual(['1']);
  });

  it.each(['', 'X-User: mallory'])(
    'takes nothing away that the app has set before the proxy: CVE-2026-33805 (%p)',
    async (claim) => {
      const signedIn: RequestHandler = (req, _res, next) => {
        req.headers['x-user'] = 'alice';
        next();
      };
      const send = await startWatched({}, behind(signedIn));

      const claims = claim === '' ? [] : [claim];
      const { requests } = await send(get('/', 'Connection: X-User, X-B', 'X-B: 1', ...claims));

      expect(valuesOf(requests[0]!, 'x-user')).toEqual(['alice']);
      expect(valuesOf(requests[0]!, 'x-b')).toEqual([]);
    },
  );

  it('that is empty hides no other: CVE-2021-33197', async () => {
    const send = await startWatched();

    const { requests } = await send(
      get('/', 'Connection:', 'Connection: X-B', 'X-B: 1', 'X-Forwarded-For: 10.0.0.1'),
    );

    expect(valuesOf(requests[0]!, 'x-b')).toEqual([]);
    expect(valuesOf(requests[0]!, 'x-forwarded-for')).toEqual(['127.0.0.1']);
  });
});

describe('a claim of who the client is', () => {
  const CLAIMS = [
    'X-Forwarded-For: 10.0.0.9',
    'X-Forwarded-Proto: https',
    'X-Forwarded-Host: evil.example',
    'X-Forwarded-Port: 9',
    'X-Real-IP: 10.0.0.9',
    'Forwarded: for=10.0.0.9',
  ];

  it.each([false, '10.0.0.1', ['10.0.0.0/8']])(
    'counts for nothing where its peer is not trusted (%p): CVE-2026-3635',
    async (trustProxy) => {
      const send = await startWatched({}, { trustProxy });

      const { requests } = await send(get('/', ...CLAIMS));

      const told = requests[0]!.headers.map(([name, value]) => `${name.toLowerCase()}: ${value}`);
      expect(told.filter((field) => /forwarded|real-ip/.test(field)).sort()).toEqual([
        'x-forwarded-for: 127.0.0.1',
        'x-forwarded-host: h',
        'x-forwarded-proto: http',
      ]);
    },
  );
});

describe('who the client is', () => {
  it.each([
    ['xfwd: false', { xfwd: false }],
    [
      'a director that takes it away',
      { director: ({ headers }) => void delete headers['x-forwarded-for'] },
    ],
  ] as [string, Partial<TinyProxyOptions>][])(
    'is not told where it is not to be: CVE-2022-32148: %s',
    async (_how, options) => {
      const send = await startWatched(options);

      const { requests } = await send(get('/'));

      expect(valuesOf(requests[0]!, 'x-forwarded-for')).toEqual([]);
    },
  );
});

describe('a field named as a member of every object is', () => {
  it('ends no process, and changes no object: CVE-2026-21710', async () => {
    const send = await startWatched();

    const { statuses, requests } = await send(
      get('/', '__proto__: a', '__PROTO__: b', 'constructor: c', 'X-A: 1'),
    );

    expect(statuses).toEqual([200]);
    expect(valuesOf(requests[0]!, 'x-a')).toEqual(['1']);
    expect(valuesOf(requests[0]!, 'constructor')).toEqual(['c']);
    expect(Object.getOwnPropertyNames(Object.prototype)).not.toContain('a');
    expect(({} as Record<string, unknown>).a).toBeUndefined();
  });

  it('does neither in a response', async () => {
    const send = await startWatched(
      {},
      {},
      'HTTP/1.1 200 OK\r\n__proto__: a\r\n__proto__: b\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nok',
    );

    const { statuses, answer } = await send(get('/'));

    expect(statuses).toEqual([200]);
    expect(valuesOf(answer, 'x-a')).toEqual(['1']);
  });
});

describe('a WebSocket', () => {
  it('asked for with too many fields ends no process: CVE-2024-37890', async () => {
    const send = await startWatched({ ws: '/' });
    await send(get('/first')); // which makes the proxy known to the server
    const many = Array.from({ length: 2000 }, (_, i) => `${i.toString(36)}: x`);

    const { answer, requests } = await send(
      get('/', ...many, 'Connection: Upgrade', 'Upgrade: websocket'),
    );

    expect(answer.rawText).toMatch(/^HTTP\/1.1 4/);
    expect(requests).toHaveLength(1);
    expect((await send(get('/'))).statuses).toEqual([200]);
  });
});

describe('a field that a hook has made', () => {
  const EVIL = 'a\r\nX-Evil: 1\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h';

  it.each(['x-own', 'host', 'content-type', 'authorization'])(
    'cannot hold another: CVE-2022-31150, CVE-2022-35948, CVE-2023-23936: %s',
    async (name) => {
      const send = await startWatched({
        director: ({ headers }) => {
          headers[name] = EVIL;
        },
      });

      const { statuses, bytes } = await send(get('/'));

      expect(statuses).toEqual([500]);
      expect(bytes).toBe('');
    },
  );

  it('cannot give a second length in other letters: CVE-2026-1525', async () => {
    const options: TinyProxyOptions[] = [
      { target: '', director: ({ headers }) => Object.assign(headers, DOUBLE) },
      { target: '', headers: DOUBLE },
    ];
    for (const { target: _, ...given } of options) {
      const send = await startWatched(given);

      const { requests, bytes } = await send(`${post('Content-Length: 5')}hello`);

      expect(requests.map(({ body }) => body.toString())).toEqual(['hello']);
      expect(bytes.match(/content-length/gi)).toHaveLength(1);
      expect((await send(get('/'))).bytes.match(/content-length/gi)).toHaveLength(1);
    }
  });
  const DOUBLE = { 'Content-Length': '3', 'content-length': '99', 'CONTENT-LENGTH': '0' };
});

describe('a body that a parser has had before the proxy', () => {
  const body = '{"a":1}';
  const on = {
    proxyReq: (outgoing: object, req: object) =>
      fixRequestBody(outgoing as never, { ...req, body: { a: 1 } } as never),
  };
  const json = (type: string, sent = body): string =>
    `${post(`Content-Type: ${type}`, `Content-Length: ${sent.length}`)}${sent}`;

  it.each(['application/json', 'application/json; x="application/x-www-form-urlencoded"'])(
    'is written once, though fixRequestBody would write it, too: CVE-2025-32996: %s',
    async (type) => {
      const send = await startWatched({ on } as never, behind(express.json()));

      const { statuses, requests, bytes } = await send(json(type));

      expect(statuses).toEqual([200]);
      expect(requests.map((each) => each.body.toString())).toEqual([body]);
      expect(bytes.endsWith(`\r\n\r\n${body}`)).toBe(true);
    },
  );

  // Of a broken one of 8 bytes at most Express 4 leaves what it leaves of `{ }`.
  it.each(['{"a":1,"b', '{"a":truce}', '{"a":1,}        '])(
    'does not go on as another when its parser has failed: CVE-2025-32997: %s',
    async (broken) => {
      const send = await startWatched({ on } as never, behind(express.json(), goOn));

      const { statuses, bytes } = await send(json('application/json', broken));

      expect(statuses).toEqual([500]);
      expect(bytes).toBe('');
    },
  );

  it.each(['application/json ; charset=utf-8', 'application/json\t; charset=utf-8'])(
    'is what the client has sent, however it writes its type: CVE-2023-51701: %p',
    async (type) => {
      const send = await startWatched({}, behind(express.json()));

      const { requests } = await send(json(type));

      expect(requests.map((each) => each.body.toString())).toEqual([body]);
      expect(valuesOf(requests[0]!, 'content-type')).toEqual([type]);
    },
  );

  it('is never written as multipart/form-data: CVE-2026-55603', async () => {
    const form = new URLSearchParams({
      a: '1\r\n--x\r\nContent-Disposition: form-data',
    }).toString();
    const send = await startWatched(
      { on } as never,
      behind(express.urlencoded({ type: () => true, extended: false })),
    );

    const { statuses, bytes } = await send(json('multipart/form-data; boundary=x', form));

    expect(statuses).toEqual([500]);
    expect(bytes).toBe('');
  });
});

describe('a client that waits for 100 Continue', () => {
  it('leaves no connection in doubt when it is refused: CVE-2024-24791', async () => {
    const send = await startWatched(
      { retry: false },
      {},
      'HTTP/1.1 417 No\r\nContent-Length: 2\r\n\r\nno',
    );
    const asks = head('POST / HTTP/1.1', 'Host: h', 'Content-Length: 5', 'Expect: 100-continue');

    for (let i = 0; i < 5; i += 1) {
      const { statuses, requests } = await send(`${asks}hello`);
      expect(statuses).toEqual([417]);
      expect(requests.map((each) => each.body.toString())).toEqual(Array(i + 1).fill('hello'));
    }
  });
});
