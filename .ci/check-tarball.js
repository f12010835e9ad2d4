// @ts-check
/** What would be published: its size, and that it holds nothing that a user does not need. */
import { execFileSync } from 'node:child_process';

/**
 * Bytes, packed: where it stands, and it may only go down, or grow by a part. A fifth of it is
 * comments, for whoever looks into dist at 3am; without them and all white space it is 112,000.
 */
const MOST_BYTES = 155_000;
const NEEDED = [
  /^dist\/[\w/-]+\.js$/,
  /^dist\/status-page\/page\/[\w-]+\.(?:html|css)$/,
  /^dist\/[\w/-]+\.d\.ts$/, // those that the entries lead to: .ci/tidy-dist.js
  /^(?:package\.json|README\.md|LICENSE|CHANGELOG\.md)$/,
];

const packed = execFileSync('npm', ['pack', '--dry-run', '--json'], { encoding: 'utf8' });
const [{ size, files }] = JSON.parse(packed);
/** @type {string[]} */
const names = files.map((/** @type {{ path: string }} */ { path }) => path);
const others = names.filter((name) => !NEEDED.some((pattern) => pattern.test(name)));
const problems = others.map((name) => `not needed by a user: ${name}`);
if (size > MOST_BYTES) problems.push(`${size} bytes packed, ${MOST_BYTES} at most`);

console.log(`${names.length} files, ${size} bytes packed`);
for (const problem of problems) console.error(problem);
process.exitCode = problems.length === 0 ? 0 : 1;
