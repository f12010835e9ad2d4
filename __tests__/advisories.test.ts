// docs/advisories.md says of each advisory whether a test is named after it, or why it needs none.
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8');

const ID = /\b(?:CVE-\d{4}-\d+|GHSA(?:-[\da-z]{4}){3})\b/g;
const idsIn = (text: string): string[] => [...new Set(text.match(ID) ?? [])].sort();

const doc = read('../docs/advisories.md');
const [tested = '', untouched = ''] = doc.split('\n## They cannot touch us\n');
const tests = readdirSync(new URL('.', import.meta.url))
  .filter((name) => /^advisories-.*\.test\.ts$/.test(name))
  .map(read)
  .join('\n');

describe('docs/advisories.md', () => {
  it('has a test for each advisory that it calls tested, and names each that a test is named after', () => {
    expect(idsIn(tests).length).toBeGreaterThan(40);
    expect(idsIn(tested)).toEqual(idsIn(tests));
  });

  it('says of no advisory both', () => {
    expect(idsIn(untouched).length).toBeGreaterThan(20);
    expect(idsIn(untouched).filter((id) => idsIn(tested).includes(id))).toEqual([]);
  });
});

/** From which version on the advisories of a package are mended, as far as they are named there. */
const MENDED = { undici: '7.29.0', 'http-proxy-middleware': '4.1.1', morgan: '1.10.1' };

const numbers = (version: string): number[] => version.replace(/^\^/, '').split('.').map(Number);

function isAtLeast(version: string, least: string): boolean {
  const [a, b] = [numbers(version), numbers(least)];
  const place = a.findIndex((number, i) => number !== b[i]);
  return place < 0 || a[place]! > b[place]!;
}

it.each(Object.entries(MENDED))('%s is required from %s on', (name, least) => {
  const { dependencies } = JSON.parse(read('../package.json'));

  expect([dependencies[name], isAtLeast(dependencies[name], least)]).toEqual([
    dependencies[name],
    true,
  ]);
});
