// The type tests (types*.test-d.ts) cover every export of the package.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from '@jest/globals';
import { type Module, parseSync } from '@swc/core';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const manifest: { exports: Record<string, string | { types: string }> } = JSON.parse(
  readFileSync(join(ROOT, 'package.json'), 'utf8'),
);

/** `./dist/metrics/index.d.ts` as `src/metrics/index.ts`, of each entry. */
const entries = Object.values(manifest.exports).flatMap((entry) =>
  typeof entry === 'string' ? [] : [entry.types.replace('./dist/', 'src/').replace('.d.ts', '.ts')],
);

const typeTests = readdirSync(join(ROOT, '__tests__'))
  .filter((name) => name.endsWith('.test-d.ts'))
  .map((name) => readFileSync(join(ROOT, '__tests__', name), 'utf8'));

function exportsOf({ body }: Module): string[] {
  return body.flatMap((item) =>
    item.type !== 'ExportNamedDeclaration'
      ? []
      : item.specifiers.map((name) => ('orig' in name ? name.orig.value : '')),
  );
}

it.each(entries)('%s: each name is used beyond its import', (entry) => {
  const names = exportsOf(
    parseSync(readFileSync(join(ROOT, entry), 'utf8'), { syntax: 'typescript' }),
  );

  expect(names.length).toBeGreaterThan(1);
  for (const name of names) {
    const uses = typeTests.map((text) => text.split(new RegExp(`\\b${name}\\b`)).length - 1);
    expect([name, Math.max(...uses) >= 2]).toEqual([name, true]);
  }
});
