// A parsed body that is sent again means the same to the same parser, for any value or form; or it
// is not sent at all, but answered 500 BODY_CONSUMED.
import { describe, expect, it } from '@jest/globals';
import express, { type RequestHandler } from 'express';
import fc from 'fast-check';
import { propertySettings, TEST_LIMIT_MS } from './support/fuzz-settings.js';
import { get, startProxy, startProxyWith } from './support/proxy.js';

const FORM = 'application/x-www-form-urlencoded';

/** Two apps with the same parser, one behind the other: what each of them has parsed. */
async function startTwice(parser: RequestHandler) {
  const parsed: unknown[] = [];
  let understood = 0;
  const parsing = (): express.Express =>
    express().use(parser, (req, _res, next) => {
      parsed.push(req.body);
      next();
    });
  const last = parsing().use((_req, res) => void res.end());
  const { url: inner } = await startProxy(() => {}, { app: last });
  const { url } = await startProxyWith({ target: inner }, { app: parsing() });
  /** What the first has parsed of this body, and the second of the one that it was sent. */
  const send = async (type: string, body: string | Buffer): Promise<[unknown, unknown]> => {
    parsed.length = 0;
    const response = await get(url, { method: 'POST', body, headers: { 'Content-Type': type } });
    if (parsed.length === 0) return [null, null]; // no JSON, or no form, for the first parser
    if (response.status === 500) {
      expect([parsed.length, JSON.parse(response.text).code]).toEqual([1, 'BODY_CONSUMED']);
      return [null, null];
    }
    expect([parsed.length, response.status]).toEqual([2, 200]);
    understood += 1;
    return [parsed[0], parsed[1]];
  };
  return { send, understood: () => understood };
}

/** A value in which nothing is hidden: -0, Infinity, own keys named __proto__, no prototype. */
function plain(value: unknown): string {
  return JSON.stringify(value, (_key, each: unknown) => {
    if (typeof each === 'number') return Object.is(each, -0) ? 'number -0' : `number ${each}`;
    return typeof each === 'string' ? `string ${each}` : each;
  });
}

const numbers = fc.oneof(
  fc.constantFrom('0', '-0', '1E5', '0.10', '1e999', '-1e999', '1e-400', '12345678901234567890123'),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
);
const strings = fc.oneof(
  fc.constantFrom('""', '"\\ud800"', '"\\u0000"', '"5"', '"null"', '"{}"', '"\u2028"', '"\\/"'),
  fc.string({ unit: 'binary', maxLength: 8 }).map((text) => JSON.stringify(text)),
);
const keys = fc.oneof(
  fc.constantFrom('"__proto__"', '"toJSON"', '"constructor"', '"length"', '"a"', '"0"'),
  strings,
);
const space = fc.constantFrom('', '', ' ', '\n\t', '\r\n');

/** The text of any JSON value. */
const { value: jsonText } = fc.letrec<{ value: string; array: string; object: string }>((tie) => ({
  value: fc
    .tuple(
      space,
      fc.oneof(
        { maxDepth: 4, withCrossShrink: true },
        fc.constantFrom('null', 'true', 'false'),
        numbers,
        strings,
        tie('array'),
        tie('object'),
      ),
      space,
    )
    .map((parts) => parts.join('')),
  array: fc.array(tie('value'), { maxLength: 4 }).map((items) => `[${items.join(',')}]`),
  object: fc
    .array(fc.tuple(keys, space, tie('value')), { maxLength: 4 })
    .map((pairs) => `{${pairs.map(([key, gap, item]) => `${key}${gap}:${item}`).join(',')}}`),
}));

describe('a body that json() has parsed', () => {
  it(
    'is the same value for the backend',
    async () => {
      const { send, understood } = await startTwice(express.json({ strict: false }));
      const charset = fc.constantFrom(
        ['', 'utf8'],
        ['; charset=utf-8', 'utf8'],
        ['; charset=utf-16le', 'utf16le'],
      );
      const property = fc.asyncProperty(jsonText, charset, async (text, [parameter, encoding]) => {
        const body = Buffer.from(text, encoding as BufferEncoding);

        const [first, second] = await send(`application/json${parameter}`, body);

        // JSON.stringify() writes 0 for -0.
        expect(plain(second)).toBe(plain(first).replaceAll('"number -0"', '"number 0"'));
      });
      const runs = propertySettings(300);
      await fc.assert(property, runs);
      expect(understood()).toBeGreaterThan(runs.numRuns! / 3);
    },
    TEST_LIMIT_MS,
  );
});

const atoms = fc.oneof(
  fc.constantFrom(...['a', 'b', '0', '1', '[', ']', '[]', '[0]', '[a]', '+', '%20', '%5B', '%5D']),
  fc.constantFrom(
    ...['%26', '%3D', '%25', '%', '%zz', '%E4', '%C3%A4', '\u00e4', '.', '__proto__', ';', ','],
  ),
);
const word = fc.array(atoms, { maxLength: 5 }).map((parts) => parts.join(''));
const form = fc
  .array(
    fc.oneof(
      fc.tuple(word, word).map((pair) => pair.join('=')),
      word,
    ),
    { minLength: 1, maxLength: 6 },
  )
  .map((pairs) => pairs.join('&'));

describe('a form that urlencoded() has parsed', () => {
  it.each([{ extended: false }, { extended: true }])(
    'is the same for the backend, with %p',
    async (options) => {
      const { send, understood } = await startTwice(express.urlencoded(options));
      const charset = fc.constantFrom('', '; charset=utf-8', '; charset=iso-8859-1');
      const property = fc.asyncProperty(form, charset, async (text, parameter) => {
        const [first, second] = await send(FORM + parameter, text);

        expect(plain(second)).toBe(plain(first));
      });
      const runs = propertySettings(300);
      await fc.assert(property, runs);
      expect(understood()).toBeGreaterThan(runs.numRuns! / 3);
    },
    TEST_LIMIT_MS,
  );
});
