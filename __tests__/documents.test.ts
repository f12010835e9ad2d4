// Every code block of README and docs has a known use, and holds. How blocks are marked:
// support/documents/blocks.ts. The sessions run in documents-sessions.test.ts and its like.
import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { parseAllDocuments } from 'yaml';
import { reply, startBackend } from './support/backend.js';
import { type Block, blocksOf, DOCUMENTS, ROOT, textOf } from './support/documents/blocks.js';
import { programOf, runFragment } from './support/documents/fragments.js';
import { checkMermaid } from './support/documents/mermaid.js';
import { Project, TSC } from './support/documents/project.js';
import { replaced, stepsOf } from './support/documents/session.js';

const BLOCKS = DOCUMENTS.flatMap(blocksOf);
const FRAGMENTS = BLOCKS.filter(({ info }) => info.fragment !== undefined);
/** Programs of the system that a reader of `sh` blocks is expected to have, or told to install. */
const PROGRAMS = ['apt', 'apt-get', 'kubectl', 'nginx'];

const named = (blocks: Block[]): [string, Block][] => blocks.map((block) => [block.where, block]);
const of = (...languages: string[]): [string, Block][] =>
  named(BLOCKS.filter(({ language }) => languages.includes(language)));
const isScript = ({ language }: Block): boolean => ['js', 'ts', 'cjs', 'mjs'].includes(language);

/** Whether a `console` block below this file names it in a command. */
function isRun({ document, where, info }: Block): boolean {
  const below = blocksOf(document);
  return below
    .slice(below.findIndex((block) => block.where === where) + 1)
    .filter(({ language }) => language === 'console')
    .some((session) => stepsOf(session).some(({ command }) => command.includes(info.file!)));
}

describe('a code block', () => {
  it('is there, in many documents', () => {
    expect(new Set(BLOCKS.map(({ document }) => document)).size).toBeGreaterThan(10);
  });

  it.each(named(BLOCKS))('has a known use: %s', (_where, block) => {
    const { language, info } = block;
    const isFile = info.file !== undefined && isRun(block);
    const uses: Record<string, boolean> = {
      script: isScript(block) && (isFile || (language === 'js' && info.fragment !== undefined)),
      console: language === 'console' && stepsOf(block).length > 0,
      data: ['json', 'yaml', 'sh', 'mermaid'].includes(language),
      nginx: language === 'nginx' && isFile,
    };

    expect(Object.values(uses)).toContain(true);
  });

  it('of JSON is JSON', () => {
    for (const [where, { text }] of of('json')) {
      expect([where, JSON.parse(text)]).toEqual([where, expect.anything()]);
    }
  });

  it.each(of('yaml'))('of YAML is YAML: %s', (_where, { text }) => {
    for (const { errors, warnings } of parseAllDocuments(text)) {
      expect([...errors, ...warnings]).toEqual([]);
    }
  });

  it.each(of('mermaid'))('of mermaid is a diagram: %s', (_where, { text }) => {
    checkMermaid(text);
  });

  it.each(of('sh'))('of sh names what there is: %s', (_where, { text }) => {
    checkCommands(text);
  });

  const records = BLOCKS.filter(({ info }) => 'recorded' in info);
  it.each(named(records))('that is a record names what there is: %s', (_where, block) => {
    for (const { command } of stepsOf(block)) checkCommands(command);
  });
});

function checkCommands(text: string): void {
  for (const command of text.split(/\n|&&/).map((line) => line.replace(/#.*/, '').trim())) {
    if (command !== '') checkCommand(command);
  }
}

/** An npm script, a package of npm's, or a program. */
function checkCommand(command: string): void {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const words = command.split(/\s+/).filter((word) => !/^[A-Z_]+=/.test(word));
  const [program = '', verb = '', name = ''] = words;
  if (program !== 'npm') {
    const folders = (process.env.PATH ?? '').split(delimiter);
    const isThere = folders.some((folder) => isExecutable(join(folder, program)));
    return expect([program, isThere || PROGRAMS.includes(program)]).toEqual([program, true]);
  }
  if (verb === 'run') return expect(Object.keys(scripts)).toContain(name);
  if (verb === 'start' || verb === 'test') return expect(Object.keys(scripts)).toContain(verb);
  expect(['ci', 'install', 'audit', 'pack', 'publish']).toContain(verb);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

describe('a link', () => {
  /** As GitHub makes them of headings. */
  const anchorsOf = (document: string): string[] =>
    [...textOf(document).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    );

  it.each(DOCUMENTS)('within the repository leads somewhere: %s', (document) => {
    const text = textOf(document)
      .replace(/^ *```[\s\S]*?^ *```/gm, '')
      .replace(/`[^`\n]*`/g, '');
    for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^\w+:/.test(target)) continue;
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? document : join(dirname(document), path);
      expect([target, existsSync(join(ROOT, file))]).toEqual([target, true]);
      if (anchor !== undefined)
        expect([target, anchorsOf(file)]).toEqual([target, expect.arrayContaining([anchor])]);
    }
  });
});

describe('a script', () => {
  const project = new Project();
  const folder = join(project.folder, 'scripts');
  beforeAll(async () => {
    await project.build();
    mkdirSync(folder);
  }, 60_000);
  afterAll(() => project.remove());

  it('has right types', async () => {
    const scripts = BLOCKS.filter(isScript);
    for (const block of scripts) {
      const name = block.info.file ?? 'fragment.mjs';
      const code = block.info.fragment === undefined ? block.text : programOf(block);
      const place = join(folder, block.where.replaceAll(/[/:]/g, '-'));
      mkdirSync(place);
      writeFileSync(join(place, name), code);
    }
    writeFileSync(join(folder, 'app.d.ts'), OF_THE_APP);
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(TSCONFIG));

    const checked = promisify(execFile)(process.execPath, [TSC, '-p', folder]);
    const { stdout } = await checked.catch((error: { stdout: string }) => error);

    expect(stdout).toBe('');
  }, 30_000);

  it.each(named(FRAGMENTS))('that is a part of one works in a whole: %s', async (where, block) => {
    const well = await Promise.all([1, 2].map(() => startBackend(reply(200, 'well\n'))));
    const ports: [string, string][] = well.map(({ url }, i) => [`808${i + 1}`, new URL(url).port]);
    const code = replaced(programOf(block), [
      ['10\\.0\\.0\\.\\d+', '127.0.0.1'],
      ...ports,
      ['8080', '0'],
    ]);

    const printed = await runFragment(code, folder, `${where.replaceAll(/[/:]/g, '-')}.mjs`);

    expect(printed.split('\n').filter((line) => /^\d{3}$/.test(line))).toEqual([
      block.info.status ?? '200',
    ]);
  });
});

const TSCONFIG = {
  compilerOptions: {
    ...{ target: 'es2022', lib: ['es2022'], module: 'nodenext', types: ['node'] },
    ...{ allowJs: true, checkJs: true, noEmit: true, skipLibCheck: true },
    ...{ strict: true, noImplicitAny: false, strictNullChecks: false },
  },
};

/** What the examples' apps put on their requests. */
const OF_THE_APP = `
import type { Buffer } from 'node:buffer';
declare global {
  namespace Express { interface Request { user?: { id: string; token: string } } }
}
declare module 'node:http' { interface IncomingMessage { rawBody?: Buffer } }
`;
