import { describe, expect, it } from '@jest/globals';
import { responseInterceptor } from 'http-proxy-middleware';
import morgan from 'morgan';
import { accessLog, requestId, type TinyProxyOptions, tinyProxy } from '../src/index.js';
import { reply, startBackend } from './support/backend.js';
import { get, startProxyWith } from './support/proxy.js';
import { until } from './support/wait.js';

const target = 'http://127.0.0.1:1';
const mount = (options: Partial<TinyProxyOptions>) => () => tinyProxy({ target, ...options });

describe('a mistake is told at mount', () => {
  it.each<[string, () => unknown, RegExp]>([
    ['a token that there is not', mount({ log: ':method :urll' }), /no token ":urll"/],
    ['a format without a token', mount({ log: 'josn' }), /'json'.*got 'josn'/],
    ['the same of accessLog()', () => accessLog('josn'), /'json'.*got 'josn'/],
    ['a list in one URL', mount({ target: 'http://a,http://b' }), /"target".*got 'http:\/\/a,/],
    [
      'an address that is none',
      mount({ localAddress: 'x' }),
      /"localAddress".*'10.0.0.7'; got 'x'/,
    ],
    [
      'options that are a string',
      () => requestId('X-Id' as never),
      /\{ trust: false \}; got 'X-Id'/,
    ],
    [
      'responseInterceptor(), which writes a head of its own',
      mount({ on: { proxyRes: responseInterceptor(async (body) => body) as never } }),
      /"on".*no responseInterceptor\(\)/,
    ],
  ])('%s', (_name, make, message) => {
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });

  it.each(['text', 'json', 'combined', 'dev', ':method :res[content-length] :hops'])(
    'and %s is none',
    (format) => {
      expect(() => accessLog(format)).not.toThrow();
    },
  );
});

describe('a token of the user that throws', () => {
  it('is named in the log, and harms no request', async () => {
    morgan.token('broken', () => {
      throw new Error('no such thing');
    });
    const backend = await startBackend(reply(200, 'ok'));
    const { url, log } = await startProxyWith(
      { target: backend.url },
      { captureLog: ':method :broken' },
    );

    expect((await get(url)).text).toBe('ok');
    await until(() => log.length > 0, 'a line');
    expect(log).toEqual([
      'express-tiny-proxy HOOK_FAILED a token of log threw: Error: no such thing',
    ]);
  });
});
