// Heads and bodies that RFC 9110 and 9112 allow, at random, and how they go over the wire.
import fc from 'fast-check';
import { byName, type Field } from './strict-http.js';

const unit = (text: string): fc.Arbitrary<string> => fc.constantFrom(...text);

const NAME = unit("abcdxyzABC019-_.!#$%&'*+^`|~");
const VISIBLE = unit('abAB09,;="/\\()<>@?{}%\x21\x7e\x80\xa0\xe4\xff');
const INNER = unit('ab09,;=" \t\x80\xa0\xff');

/** A value without white space around it: that is not part of it. RFC 9110 5.5. */
export const fieldValue: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom('', 'a', 'a, b', '"quoted, text"', '\xe4\xf6'),
  fc
    .tuple(fc.string({ unit: INNER, maxLength: 12 }), VISIBLE, VISIBLE)
    .map(([inner, first, last]) => first + inner + last),
);

/** A name of nobody's. */
const freeName = fc
  .string({ unit: NAME, minLength: 1, maxLength: 8 })
  .map((name) => `x-${name}`)
  // Set by the proxy itself, which is another matter.
  .filter((name) => !/^x-(?:request-|forwarded-)/i.test(name));

/** A field line with one of these names. */
export function field(names: fc.Arbitrary<string>): fc.Arbitrary<Field> {
  return fc.tuple(names, fieldValue);
}

/** Fields with these names, each name as often as it comes, and those of `single` once at most. */
export function fields(lists: readonly string[], single: readonly string[]): fc.Arbitrary<Field[]> {
  const many = fc.array(field(fc.oneof(fc.constantFrom(...lists), freeName)), { maxLength: 8 });
  const once = fc.uniqueArray(field(fc.constantFrom(...single)), {
    selector: ([name]) => name,
    maxLength: 3,
  });
  return fc
    .tuple(many, once, fc.nat(8))
    .map(([some, others, at]) => [...some.slice(0, at), ...others, ...some.slice(at)]);
}

/** Bytes as latin1: none, a few, or more than a kept block or a socket's buffer holds. */
export const body: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom('', '\r\n', '0\r\n\r\n', 'HTTP/1.1 200 OK\r\n\r\n', '\0\xff'),
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  fc
    .tuple(fc.constantFrom(1023, 1024, 4096, 4097, 20_000, 70_000), fc.nat(255))
    .map(([length, seed]) => {
      const bytes = Buffer.alloc(length);
      for (let i = 0; i < length; i += 1) bytes[i] = (i * 31 + (i >> 8) + seed) & 0xff;
      return bytes.toString('latin1');
    }),
);

/** How chunks of a body are cut, and what is said beside their sizes. */
export interface Chunking {
  cuts: number[];
  extension: string;
  trailers: Field[];
}

export const chunking: fc.Arbitrary<Chunking> = fc.record({
  cuts: fc.array(fc.nat(70_000), { maxLength: 5 }),
  extension: fc.constantFrom('', '', ';a', ';a=b', ';a="b c"'),
  trailers: fc.array(field(freeName), { maxLength: 3 }),
});

/** The parts of a text between these places. */
export function cutAt(text: string, places: readonly number[]): string[] {
  const inner = [...new Set(places)].filter((at) => at > 0 && at < text.length);
  const all = [0, ...inner.sort((a, b) => a - b), text.length];
  return all.slice(1).map((end, i) => text.slice(all[i], end));
}

/** A body in chunks. RFC 9112 7.1. */
export function chunked(text: string, { cuts, extension, trailers }: Chunking): string {
  const chunks = text === '' ? [] : cutAt(text, cuts);
  const sized = chunks.map((part) => `${part.length.toString(16)}${extension}\r\n${part}\r\n`);
  return `${sized.join('')}0${extension}\r\n${lines(trailers)}\r\n`;
}

/** Field lines. */
export function lines(all: readonly Field[]): string {
  return all.map(([name, value]) => `${name}: ${value}\r\n`).join('');
}

/**
 * The values of fields by name, to be compared. A field that was sent more than once may come as
 * one, joined by commas, but for Set-Cookie (RFC 9110 5.3): its values are those between the commas.
 */
export function valuesLike(sent: readonly Field[], fields: readonly Field[]): object {
  const original = byName(sent);
  const entries = Object.entries(byName(fields)).map(([name, values]) => {
    if (name === 'set-cookie' || (original[name]?.length ?? 0) < 2) return [name, values];
    return [name, values.join(',').split(/[ \t]*,[ \t]*/)];
  });
  return Object.fromEntries(entries);
}
