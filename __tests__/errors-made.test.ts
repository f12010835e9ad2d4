// The errors that the proxy makes, one by one: their codes, statuses, words and headers.
import { runInNewContext, runInThisContext } from 'node:vm';
import { describe, expect, it } from '@jest/globals';
import {
  atOnce,
  BUGS,
  badRequest,
  coded,
  describe as describeThrown,
  gatewayError,
  hookError,
  isNativeError,
  noBackend,
  ownError,
  ProxyError,
  problem,
  sendable,
  warn,
} from '../src/errors.js';

describe('a ProxyError', () => {
  it.each([
    ['BAD_REQUEST', 400],
    ['CLIENT_TIMEOUT', 408],
    ['BODY_CONSUMED', 500],
    ['BALANCE_FAILED', 500],
    ['HOOK_FAILED', 500],
    ['BAD_GATEWAY', 502],
    ['NO_BACKEND', 503],
    ['GATEWAY_TIMEOUT', 504],
    ['LOOP', 508],
    ['OF_THE_USER', 502],
    ['toString', 502],
  ])('of the code %s has the status %i, unless it is given', (code, status) => {
    expect(new ProxyError(code)).toMatchObject({ name: 'ProxyError', code, status, message: code });
    expect(new ProxyError(code, { status: 418, message: 'tea' })).toMatchObject({
      status: 418,
      message: 'tea',
    });
  });

  it.each([400, 599])('may have the status %i', (status) => {
    expect(new ProxyError('X', { status }).status).toBe(status);
  });

  it.each([399, 600, 400.5, 0, Number.NaN, '500' as never])(
    'may not have the status %p',
    (status) => {
      expect(() => new ProxyError('X', { status })).toThrow(
        new TypeError(
          `ProxyError: status must be an integer from 400 to 599, for example 502; got ${status}`,
        ),
      );
    },
  );

  it('has met no request yet', () => {
    expect(new ProxyError('X')).toMatchObject({ headers: {}, requestId: '', hops: [] });
  });

  it('has a cause where one was given, whatever it is', () => {
    expect(new ProxyError('X', { cause: undefined })).toHaveProperty('cause', undefined);
    expect(new ProxyError('X', { cause: 0 }).cause).toBe(0);
    expect(Object.hasOwn(new ProxyError('X'), 'cause')).toBe(false);
  });
});

it('three codes are bugs that somebody must mend', () => {
  expect([...BUGS].sort()).toEqual(['BALANCE_FAILED', 'BODY_CONSUMED', 'HOOK_FAILED']);
});

describe('the answer of a hook', () => {
  it('is taken at once', () => {
    const answer = {};
    expect(atOnce(answer)).toBe(answer);
    expect(atOnce(undefined)).toBeUndefined();
  });

  it('may be no promise, whose rejection is then nobody else’s', async () => {
    const late = Promise.reject(new Error('late'));

    expect(() => atOnce(late)).toThrow(
      new TypeError('it must not be async: its answer is needed at once'),
    );
    // An unhandled rejection fails the test: setup.ts.
    await expect(late).rejects.toThrow('late');
  });
});

describe('what a hook has thrown', () => {
  it('is what it says, where it is a ProxyError', () => {
    const thrown = new ProxyError('NOT_YOURS', { status: 403 });
    expect(hookError('director', thrown)).toBe(thrown);
  });

  it('is a bug of the hook, else', () => {
    const thrown = new RangeError('oops');
    expect(hookError('director', thrown)).toMatchObject({
      code: 'HOOK_FAILED',
      status: 500,
      message: 'director threw: RangeError: oops',
      cause: thrown,
    });
  });

  it.each([
    [new TypeError('a'), 'TypeError: a'],
    [runInNewContext('new RangeError("b")'), 'RangeError: b'],
    ['a word', 'a word'],
    [undefined, '[object Undefined]'],
    [{ message: 'no error' }, '[object Object]'],
    [7, '[object Number]'],
  ])('is told in a line: %p', (thrown, line) => {
    expect(describeThrown(thrown)).toBe(line);
  });

  it('is told in a line, also where its message is no text', () => {
    const thrown = Object.assign(new Error(), { message: Symbol('why') });
    expect(hookError('director', thrown).message).toBe('director threw: Error: Symbol(why)');
  });

  it('is an error also where it comes from another realm', () => {
    expect(isNativeError(runInNewContext('new Error()'))).toBe(true);
    expect(isNativeError({ name: 'Error', message: '' })).toBe(false);
  });
});

describe('the headers of a ProxyError', () => {
  const withHeaders = (headers: object): ProxyError =>
    Object.assign(new ProxyError('X'), { headers });

  it('are sent where they can be', () => {
    const error = withHeaders({ 'x-a': '1', 'retry-after': '2' });
    expect(sendable(error)).toBe(error);
  });

  it.each([{ 'x a': '1' }, { 'x-a': 'a\nb' }, { 'x-a': undefined }])(
    'are a bug, else: %p',
    (headers) => {
      const error = sendable(withHeaders(headers));

      expect(error.code).toBe('HOOK_FAILED');
      expect(error.message).toMatch(/^setting the headers of a ProxyError threw: TypeError: /);
    },
  );
});

it('a bad request has a status and headers of its own, or 400 and none', () => {
  expect(badRequest('no')).toMatchObject({
    code: 'BAD_REQUEST',
    status: 400,
    message: 'no',
    headers: {},
  });
  expect(badRequest('no', 405, { allow: 'GET' })).toMatchObject({
    status: 405,
    headers: { allow: 'GET' },
  });
});

it('an error of an attempt has a code', () => {
  expect(coded('ETIMEDOUT', 'late')).toMatchObject({ code: 'ETIMEDOUT', message: 'late' });
});

describe('an error of an attempt is our own', () => {
  it('where it is a ProxyError', () => {
    const error = new ProxyError('X');
    expect(ownError(error, 'ECONNRESET')).toBe(error);
  });

  it.each([
    'ERR_INVALID_CHAR',
    'ERR_INVALID_HTTP_TOKEN',
    'ERR_HTTP_INVALID_HEADER_VALUE',
    'ERR_UNESCAPED_CHARACTERS',
  ])('where node:http cannot send what the client has sent: %s', (code) => {
    expect(ownError(new Error('what'), code)).toMatchObject({
      code: 'BAD_REQUEST',
      status: 400,
      message: 'what',
    });
  });

  it.each(['ECONNREFUSED', 'X_ERR_INVALID_CHAR', 'ERR_TLS_CERT_ALTNAME_INVALID', ''])(
    'and the backend’s else: %p',
    (code) => {
      expect(ownError(new Error('what'), code)).toBeNull();
    },
  );
});

it('the last attempt has come late, or to nothing', () => {
  const cause = new Error('socket hang up');

  expect(gatewayError(true, 'h:80: ETIMEDOUT', cause)).toMatchObject({
    code: 'GATEWAY_TIMEOUT',
    status: 504,
    message: 'h:80: ETIMEDOUT: socket hang up',
    cause,
  });
  expect(gatewayError(false, 'h:80', cause)).toMatchObject({
    code: 'BAD_GATEWAY',
    status: 502,
    cause,
  });
});

it.each([
  [0, '1'],
  [1, '1'],
  [1000, '1'],
  [1001, '2'],
  [9999.5, '10'],
])('no backend for %f ms is a Retry-After of %s', (waitMs, seconds) => {
  expect(noBackend('none', waitMs)).toMatchObject({
    code: 'NO_BACKEND',
    status: 503,
    message: 'none',
    headers: { 'retry-after': seconds },
  });
});

it('a warning has a type and a code', async () => {
  const real = runInThisContext('process') as NodeJS.Process;
  const heard: unknown[] = [];
  const listen = (warning: Error): void =>
    void heard.push({ ...warning, name: warning.name, message: warning.message });
  real.on('warning', listen);

  warn('TINY_PROXY_TEST', 'what');
  await new Promise((resolve) => setImmediate(resolve));
  real.off('warning', listen);

  expect(heard).toEqual([{ name: 'TinyProxyWarning', code: 'TINY_PROXY_TEST', message: 'what' }]);
});

describe('the body of an error', () => {
  it('has its title, status, code and id, and nothing else', () => {
    const error = new ProxyError('BAD_GATEWAY', { message: 'db-1.internal refused', cause: 'x' });
    error.requestId = 'night-1';

    expect(JSON.parse(problem(error, error.requestId))).toEqual({
      type: 'about:blank',
      title: 'Bad Gateway',
      status: 502,
      code: 'BAD_GATEWAY',
      requestId: 'night-1',
    });
  });

  it('has a title for a status that has none, and no id where there is none', () => {
    expect(JSON.parse(problem(new ProxyError('X', { status: 499 }), ''))).toEqual({
      type: 'about:blank',
      title: 'Error',
      status: 499,
      code: 'X',
    });
  });
});
