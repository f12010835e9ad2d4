// What docs claim about the tests and the source: each is there.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { ROOT, textOf } from './support/documents/blocks.js';

/** `FILE` "title", as the threat model cites tests. */
const citations = [...textOf('docs/threat-model.md').matchAll(/`([\w/.-]+\.ts)` "([^"]+)"/g)].map(
  ([, file = '', title = '']): [string, string] => [file, title],
);
const rowsOf = (document: string): string[][] =>
  textOf(document)
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) => line.split(/(?<!\\)\|/).map((cell) => cell.trim()))
    .map((cells) => cells.slice(1, -1));

describe('the threat model', () => {
  it.each(citations)('cites a test that is there: %s, %s', (file, title) => {
    const path = join(ROOT, '__tests__', file);
    const text = existsSync(path) ? readFileSync(path, 'utf8') : '';

    const quoted = [`'${title}'`, `"${title}"`, `\`${title}\``];
    expect(quoted.some((literal) => text.includes(literal))).toBe(true);
  });

  it('cites one at least for each promise', () => {
    const promises = rowsOf('docs/threat-model.md').filter(
      ([attack, , shownBy]) => shownBy !== undefined && attack !== 'attack' && attack !== 'who',
    );
    const proven = promises.filter(([, , shownBy = '']) => /\.ts` "/.test(shownBy));
    const untested = promises.filter((row) => !proven.includes(row)).map(([attack]) => attack);

    expect(proven.length).toBeGreaterThan(25);
    // The table of trust has three columns as well, and promises nothing of its own.
    expect(
      untested.filter((name) => !/^(a client|a peer|a backend|the app|the log|---)/.test(name!)),
    ).toEqual([]);
  });
});

describe('the architecture', () => {
  it('names every file of src, and no other', () => {
    const text = textOf('docs/architecture.md');
    const named = new Set([...text.matchAll(/`src\/([\w/-]+\.ts)`/g)].map(([, file]) => file));
    const files = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' });

    expect([...named].sort()).toEqual(files.filter((name) => name.endsWith('.ts')).sort());
  });
});

describe('the way from http-proxy-middleware', () => {
  it('has a row for every option of its, refused or not', () => {
    const rows = rowsOf('docs/recipes/from-http-proxy-middleware.md').map(
      ([theirs = '']) => theirs,
    );
    const inTable = rows.flatMap((cell) => [...cell.matchAll(/`(\w+)/g)].map(([, name]) => name));
    const types = readFileSync(join(ROOT, 'node_modules/httpxy/dist/index.d.mts'), 'utf8');
    const body = /interface ProxyServerOptions \{([\s\S]*?)\n\}/.exec(types)?.[1] ?? '';
    const httpxys = [...body.matchAll(/^ {2}(\w+)\?:/gm)].map(([, name]) => name);

    expect(httpxys.length).toBeGreaterThan(20);
    const own = ['pathFilter', 'pathRewrite', 'router', 'plugins', 'ejectPlugins', 'logger', 'on'];
    expect(inTable).toEqual(expect.arrayContaining([...httpxys, ...own]));
  });
});
