// Forms that urlencoded() has read, by qs (extended; in Express 5 both) or by node:querystring.
import { PassThrough } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import express, { type RequestHandler } from 'express';
import fc from 'fast-check';
import { FORM, received, startBehind } from './support/behind.js';
import { get, quietProxy, startProxy } from './support/proxy.js';

const parsers: [name: string, parser: () => RequestHandler][] = [
  ['extended', () => express.urlencoded({ extended: true })],
  ['plain', () => express.urlencoded({ extended: false })],
];

/** What a parser before the proxy makes of a form, and what one behind it makes of what is sent. */
async function startBetween(
  parser: () => RequestHandler,
): Promise<(form: string) => Promise<{ status: number; before: unknown; behind: unknown }>> {
  const inner = await startProxy((app) =>
    app.use(parser(), (req, res) => {
      res.json(req.body);
    }),
  );
  let before: unknown;
  const { url } = await startProxy((app) => {
    const keep: RequestHandler = (req, _res, next) => {
      before = structuredClone({ ...req.body });
      next();
    };
    app.use(parser(), keep, quietProxy({ target: inner.url }));
  });
  return async (form) => {
    const init = { method: 'POST', body: form, headers: { 'Content-Type': FORM } };
    const { status, text } = await get(url, init);
    return { status, before, behind: JSON.parse(text) };
  };
}

const name = fc.constantFrom('a', 'b', 'length', 'x y', 'ä&=', '%', '+', 'a.b', '0', '10', '😀');
const inBrackets = fc.constantFrom('', '0', '1', '7', '150', 'a', 'b c', 'ö%', 'constructor');
const field = fc
  .record({
    name,
    inBrackets: fc.array(inBrackets, { maxLength: 3 }),
    value: fc.oneof(fc.string(), fc.string({ unit: 'binary' })),
  })
  .map((each) => {
    const brackets = each.inBrackets.map((key) => `[${encodeURIComponent(key)}]`).join('');
    return `${encodeURIComponent(each.name)}${brackets}=${encodeURIComponent(each.value)}`;
  });
const forms = fc.array(field, { maxLength: 6 }).map((fields) => fields.join('&'));

describe.each(parsers)('a form that urlencoded() has read (%s)', (_name, parser) => {
  it('has the same meaning for another one behind the proxy, whatever is in it', async () => {
    const exchange = await startBetween(parser);

    await fc.assert(
      fc.asyncProperty(forms, async (form) => {
        const { status, before, behind } = await exchange(form);
        expect(status).toBe(200);
        if (form !== '') expect(behind).toEqual(JSON.parse(JSON.stringify(before)));
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    'a=1&a=2&a=3',
    'a[]=1',
    'a[]=1&a[]=2',
    'a[b][c][d]=1&a[b][e]=2',
    'a[0][b]=1&a[1][b]=2',
    'a[5]=x&a[2]=y',
    'a[150]=x',
    'a[b]=1&a=2',
    'a=1&a[b]=2',
    'a',
    'a=',
    '=1',
    '&&a=1&&',
    'a=%zz&%=1',
    'a=1;b=2',
    'a=b=c',
    'a+b=c+d%2B',
    ']=1',
    'a]=1',
    'hasOwnProperty=1&toString[x]=2',
    'utf8=%E2%9C%93&a=%00',
  ])('has the same meaning: %s', async (form) => {
    const { status, before, behind } = await (await startBetween(parser))(form);

    expect(status).toBe(200);
    expect(behind).toEqual(JSON.parse(JSON.stringify(before)));
  });

  it.each(['a[=1', 'a[b[c]=1', 'a[b][c=1', '[[b]]=1', '[]=1&[]=2'])(
    'has the same meaning, or is a 500, with brackets that nobody closes: %s',
    async (form) => {
      const { status, before, behind } = await (await startBetween(parser))(form);

      if (status === 500) expect(behind).toMatchObject({ code: 'BODY_CONSUMED' });
      else expect(behind).toEqual(JSON.parse(JSON.stringify(before)));
    },
  );

  it('is sent when it came in chunks', async () => {
    const body = new PassThrough();
    body.write('a=1');
    body.end('&b=2');

    expect(String((await received(parser(), FORM, body)).body)).toBe('a=1&b=2');
  });

  it('is sent in UTF-8, and says so, where it came in another charset', async () => {
    // Express 4 refuses the charset; other parsers do not.
    const latin1: RequestHandler = async (req, _res, next) => {
      await req.toArray();
      req.body = { name: 'é', list: ['ü'] };
      next();
    };
    const anyCharset = process.env.EXPRESS === '4' ? latin1 : parser();
    const type = `${FORM}; charset=iso-8859-1`;
    const { body, headers } = await received(anyCharset, type, 'name=%E9&list[]=%FC');

    expect(headers['content-type']).toBe(`${FORM}; charset=utf-8`);
    expect(new URLSearchParams(String(body)).get('name')).toBe('é');
  });
});

it('a form that a middleware has eaten is not the {} that Express 4 leaves', async () => {
  const eaten: RequestHandler = (req, _res, next) => {
    req.body = {};
    req.resume().once('end', () => next());
  };
  const { url, backends } = await startBehind(eaten);
  const headers = { 'Content-Type': FORM };

  const { status, text } = await get(url, { method: 'POST', body: 'name=value', headers });
  expect([status, JSON.parse(text).code]).toEqual([500, 'BODY_CONSUMED']);
  expect(backends[0]?.started).toBe(0);
});
