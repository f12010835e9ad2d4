// @ts-check
/**
 * Leaves in dist the declarations that an entry of the package leads to: the others nobody can import.
 * And indents by two what tsc has indented by four: 1 % of the tarball. No text of the source goes over
 * several lines, which a test holds.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));

/** @type {Set<string>} */
const needed = new Set();
for (const { types } of Object.values(manifest.exports)) if (types) follow(join(ROOT, types));

const dist = join(ROOT, 'dist');
for (const name of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
  const file = join(dist, name);
  if (name.endsWith('.d.ts') && !needed.has(file)) rmSync(file);
  else if (/\.(?:d\.ts|js)$/.test(name)) writeFileSync(file, narrowed(readFileSync(file, 'utf8')));
}

/** @param {string} file */
function follow(file) {
  if (needed.has(file)) return;
  needed.add(file);
  for (const [, path = ''] of readFileSync(file, 'utf8').matchAll(
    /(?:from |import\()['"](\.[^'"]+)['"]/g,
  )) {
    follow(join(dirname(file), path.replace(/\.js$/, '.d.ts')));
  }
}

/** @param {string} text */
function narrowed(text) {
  return text.replace(/^(?: {4})+/gm, (indent) => indent.slice(indent.length / 2));
}
