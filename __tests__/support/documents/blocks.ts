/**
 * The documents of the project and the code blocks in them. What a block is for stands behind its
 * language, where readers do not see it:
 *
 * - `js file=server.mjs`: a whole program, run by a `console` block below it. Any other language may
 *   be a file as well: a configuration that a program of a `console` block reads.
 * - `js fragment=before`, `after`, `options`: a part of a program, completed as `fragments.ts` says,
 *   run, and asked once. `status=401`: what it answers then, if not 200.
 * - `console`: commands behind `$ `, each with what it prints; run by `session.ts`.
 *   `express=4`: with Express 4. `e2e`: by `npm run e2e`, for it needs programs of the system.
 *   `recorded`: run by nobody, for it takes minutes or prints figures of one machine; its commands
 *   are checked as those of `sh` are.
 * - `sh`: commands whose programs and npm scripts have to exist. `json`, `yaml`: parsed.
 *   Kubernetes manifests are validated by `npm run manifests`.
 *   `nginx`: a file, read by nginx itself in `npm run e2e`. `mermaid`: its outline is checked.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

export interface Block {
  /** `docs/tuning.md:12` */
  where: string;
  document: string;
  language: string;
  /** `file=server.mjs` as `{ file: 'server.mjs' }`, a bare word as `{ e2e: '' }`. */
  info: Record<string, string>;
  text: string;
}

const FENCE = /^( *)```(\S*) *(.*)\n([\s\S]*?)^\1``` *$/gm;

/** README.md and the like at the root, and all in docs. */
export const DOCUMENTS: readonly string[] = [
  ...readdirSync(ROOT).filter((name) => name.endsWith('.md')),
  ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md') && !name.includes('node_modules'))
    .map((name) => `docs/${name.replaceAll('\\', '/')}`),
].sort();

export const textOf = (document: string): string => readFileSync(join(ROOT, document), 'utf8');

export const blocksOf = (document: string): Block[] => blocksIn(textOf(document), document);

/** Of a text, as if it were that document's. */
export function blocksIn(text: string, document: string): Block[] {
  return [...text.matchAll(FENCE)].map((match) => {
    const [, indent = '', language = '', words = '', code = ''] = match;
    const line = text.slice(0, match.index).split('\n').length;
    return {
      where: `${document}:${line}`,
      document,
      language,
      info: infoOf(words),
      text: indent === '' ? code : code.replaceAll(`\n${indent}`, '\n').slice(indent.length),
    };
  });
}

function infoOf(words: string): Block['info'] {
  const pairs = words.split(/\s+/).filter((word) => word !== '');
  return Object.fromEntries(
    pairs.map((word): [string, string] => {
      const [key = '', value = ''] = word.split('=');
      return [key, value];
    }),
  );
}

/** The files that a `console` block may use: those above it, the last one of each name. */
export function filesAbove(session: Block): Map<string, string> {
  const files = new Map<string, string>();
  for (const { where, info, text } of blocksOf(session.document)) {
    if (where === session.where) break;
    if (info.file !== undefined) files.set(info.file, text);
  }
  return files;
}

/** The `console` blocks that a suite runs. */
export function sessionsOf(documents: readonly string[], suite: 'test' | 'e2e'): Block[] {
  return documents
    .flatMap(blocksOf)
    .filter(({ language, info }) => language === 'console' && !('recorded' in info))
    .filter(({ info }) => 'e2e' in info === (suite === 'e2e'));
}
