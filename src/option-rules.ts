import { isIP } from 'node:net';
import { checkedHeaders } from './headers.js';
import type { LogOptions } from './options.js';

/** What an option's value may be, and how an error says it. */
export type Kind = readonly [holds: (value: unknown) => boolean, expected: string];

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isFunction = (value: unknown): boolean => typeof value === 'function';
export const isText = (value: unknown): value is string =>
  typeof value === 'string' && value !== '';
const isToken = (value: unknown): boolean => isText(value) && /^[\w!#$%&'*+.^`|~-]+$/.test(value);
const isListOf = (value: unknown, holds: Kind[0]): boolean =>
  Array.isArray(value) && value.length > 0 && value.every(holds);
const isMapOf = (value: unknown, holds: Kind[0]): boolean =>
  isObject(value) && Object.values(value).every((item) => item === undefined || holds(item));
const isAtLeast = (value: unknown, least: number): boolean =>
  Number.isSafeInteger(value) && (value as number) >= least;
const isNumber = (value: unknown, most: number): boolean =>
  typeof value === 'number' && value >= 0 && value <= most;

export const KINDS = {
  boolean: [(v) => typeof v === 'boolean', 'true or false'],
  function: [isFunction, 'a function'],
  object: [isObject, 'an object'],
  text: [isText, 'a string'],
  address: [(v) => isText(v) && isIP(v) !== 0, "an IP address such as '10.0.0.7'"],
  token: [isToken, "a header name such as 'X-Request-ID'"],
  ms: [(v) => isNumber(v, 2 ** 31 - 1), 'milliseconds from 0 to 2147483647, for example 3000'],
  count: [(v) => isAtLeast(v, 1), 'a positive integer, for example 3'],
  bytes: [(v) => isAtLeast(v, 0), 'a number of bytes, for example 262144'],
  share: [(v) => isNumber(v, Number.MAX_VALUE), 'a finite number >= 0, for example 0.2'],
  group: [(v) => typeof v === 'boolean' || isObject(v), 'true, false or an object of options'],
  balance: [
    (v) => isFunction(v) || ['round-robin', 'least-pending', 'random-two'].includes(v as string),
    "'round-robin', 'least-pending', 'random-two' or a function (req, backends) => backend",
  ],
  budget: [(v) => v === false || isObject(v), 'false or { ratio: 0.2, minPerSecond: 10 }'],
  methods: [(v) => Array.isArray(v) && v.every(isToken), "a list such as ['GET', 'HEAD', 'PUT']"],
  log: [
    (v) => typeof v === 'boolean' || isText(v) || isObject(v),
    "true, false, 'text', 'json', a morgan format string or { format, stream, skip }",
  ],
  stream: [(v) => isFunction((v as LogOptions['stream'])?.write), 'a stream: process.stdout, say'],
  errors: [(v) => v === 'respond' || v === 'next', "'respond' or 'next'"],
  transport: [(v) => v === 'auto' || v === 'http' || v === 'undici', "'auto', 'http' or 'undici'"],
  socketPath: [
    (v) => isText(v) && !v.includes('\0') && Buffer.byteLength(v) < 108,
    "the path of a Unix socket of at most 107 bytes, for example '/run/app.sock'",
  ],
  ws: [
    (v) => typeof v === 'boolean' || (isText(v) && v.startsWith('/')),
    "true, false or the mount path, for example '/api'",
  ],
  via: [(v) => v === false || isToken(v), "false or a name such as 'edge-1'"],
  pathFilter: [
    (v) => typeof v === 'string' || isFunction(v) || isListOf(v, isText),
    "a path such as '/users', a glob, a list of either, or (pathname, req) => boolean",
  ],
  pathRewrite: [
    (v) => isFunction(v) || (isMapOf(v, (to) => typeof to === 'string') && areRegExps(v as object)),
    "regular expressions such as { '^/old': '/new' } or (path, req) => path",
  ],
  on: [
    // By its name: http-proxy-middleware hands out an anonymous wrapper.
    (v) => isMapOf(v, (f) => isFunction(f) && !/ResponseInterceptor$/.test((f as Kind[0]).name)),
    'functions such as { proxyReq: (proxyReq, req) => {} }, and no responseInterceptor()',
  ],
  plugins: [(v) => Array.isArray(v) && v.every(isFunction), 'a list of functions'],
  logger: [
    (v) => isObject(v) && ['info', 'warn', 'error'].every((name) => isFunction(v[name])),
    'an object with info, warn and error, for example console',
  ],
  headers: [isHeaders, "header values such as { 'x-tier': 'web' }"],
  auth: [(v) => isText(v) && v.includes(':'), "'user:password'"],
  agent: [(v) => v === false || isObject(v), 'an http.Agent, or false'],
  protocol: [(v) => v === 'http' || v === 'https', "'http' or 'https'"],
  cookie: [
    (v) => v === false || typeof v === 'string' || isMapOf(v, (to) => typeof to === 'string'),
    "a string, false or an object such as { 'old.example': 'new.example' }",
  ],
} satisfies Record<string, Kind>;

export type Rules = Record<string, Kind>;

/** Options by their kind. */
export function rules<T>(
  byKind: { [K in keyof typeof KINDS]?: readonly (keyof T & string)[] },
): Rules {
  const kinds = Object.entries(byKind) as [keyof typeof KINDS, readonly string[]][];
  return Object.fromEntries(kinds.flatMap(([kind, names]) => names.map((n) => [n, KINDS[kind]])));
}

/** The kinds that are named after the one option that they are for. */
export function own<K extends keyof typeof KINDS>(...names: K[]): { [N in K]: N[] } {
  return Object.fromEntries(names.map((name) => [name, [name]])) as { [N in K]: N[] };
}

function areRegExps(rules: object): boolean {
  try {
    return Object.keys(rules).every((pattern) => new RegExp(pattern));
  } catch {
    return false; // the one thing RegExp throws is that the pattern is none
  }
}

/** A getter is read for every request, and what it answers is checked then. */
function isHeaders(value: unknown): boolean {
  if (!isObject(value)) return false;
  const plain = Object.entries(Object.getOwnPropertyDescriptors(value)).filter(([, d]) => !d.get);
  const values = Object.fromEntries(plain.map(([name, { value: item }]) => [name, item]));
  if (!isMapOf(values, (item) => typeof item === 'string' || isListOf(item, isText))) return false;
  try {
    return Object.keys(checkedHeaders(values)).length >= 0;
  } catch {
    return false; // the one thing it throws is that something is no header
  }
}
