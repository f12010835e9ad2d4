// Heads and trailers of HTTP/2 that cannot be passed on.
import { describe, expect, it } from '@jest/globals';
import {
  DATA,
  END_HEADERS,
  END_STREAM,
  type Fields,
  frame,
  head,
  OK,
  startFrameProxy,
  whole,
} from './support/frames.js';
import { get } from './support/proxy.js';

const LAST = END_HEADERS | END_STREAM;

describe('a head that cannot be passed on', () => {
  it.each<[string, Fields, flags?: number]>([
    ['connection', [...OK, ['connection', 'close']]],
    ['transfer-encoding', [...OK, ['transfer-encoding', 'chunked']]],
    ['keep-alive', [...OK, ['keep-alive', 'timeout=5']]],
    ['upgrade', [...OK, ['upgrade', 'h2c']]],
    ['a name in upper case', [...OK, ['X-A', '1']]],
    ['two content-length', [...OK, ['content-length', '5'], ['content-length', '5']]],
    ['no number', [...OK, ['content-length', '+5']]],
    ['two content-type', [...OK, ['content-type', 'a/b'], ['content-type', 'a/b']]],
    ['no status', [['x-a', '1']]],
    ['two statuses', [...OK, ...OK]],
    ['a status behind a field', [['x-a', '1'], ...OK]],
    ['status 099', [[':status', '099']]],
    ['status 600', [[':status', '600']]],
    ['status 101', [[':status', '101']]],
    ['a 103 that is the end', [[':status', '103']], LAST],
    [
      '18 KB',
      [...OK, ...Array.from({ length: 180 }, (): [string, string] => ['x', 'a'.repeat(100)])],
    ],
    ['1000 fields', [...OK, ...Array.from({ length: 1000 }, (): [string, string] => ['x', ''])]],
  ])('%s: 502, and the connection goes on', async (_what, fields, flags = END_HEADERS) => {
    let requests = 0;
    const { url, proxy, backend } = await startFrameProxy(
      (stream) => {
        requests += 1;
        if (requests === 2) return whole(stream);
        const body = flags === LAST ? [] : [frame(DATA, END_STREAM, stream, 'whole')];
        return [head(stream, fields, flags), ...body];
      },
      { retry: false },
    );

    expect((await get(url)).status).toBe(502);
    expect((await get(url)).text).toBe('whole');
    expect(proxy.status().backends).toMatchObject([{ failures: 1 }]);
    expect(backend.connections).toBe(1);
  });

  it('is not one of 999 fields, nor one with a field that nghttp2 drops', async () => {
    const many = Array.from({ length: 998 }, (_, i): [string, string] => [`x-${i}`, '1']);
    const { url } = await startFrameProxy((stream) => [
      head(stream, [...OK, ...many, ['x-bad', 'a\x01b']]),
      frame(DATA, END_STREAM, stream, 'whole'),
    ]);

    const { text, rawHeaders } = await get(url);

    expect(text).toBe('whole');
    expect(rawHeaders.filter((name) => name.startsWith('x-'))).toHaveLength(998);
  });
});

describe('trailers', () => {
  it('that are broken cost the client its connection', async () => {
    const { url } = await startFrameProxy((stream) => [
      head(stream, OK),
      frame(DATA, 0, stream, 'part'),
      head(stream, [...OK, ['x-a', '1']], LAST),
    ]);

    expect(await get(url)).toMatchObject({ status: 200, aborted: true });
  });
});
