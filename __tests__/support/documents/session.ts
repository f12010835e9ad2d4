/**
 * Runs a `console` block: its commands in a shell, one after the other, in a folder with the files
 * that stand above it in the document. Ports are free ones; what was printed is told with those of
 * the document again, and with times, dates, process and random ids as `N`, `TIME` and `ID`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once as nextEvent } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { accepts } from '../accepts.js';
import { closeAfterTest } from '../cleanup.js';
import { type Block, filesAbove } from './blocks.js';
import { portsFor } from './ports.js';

const CURL = fileURLToPath(new URL('curl.js', import.meta.url));
const LIMIT_MS = 20_000;
/** Printed by the shell when a command is done. */
const DONE = '#done';

interface Step {
  command: string;
  printed: string[];
}

/** `$ command`, its further lines behind `> `, and what it prints. */
export function stepsOf({ text, where }: Block): Step[] {
  const steps: Step[] = [];
  for (const line of text.split('\n').slice(0, -1)) {
    const last = steps.at(-1);
    if (line.startsWith('$ ')) steps.push({ command: line.slice(2), printed: [] });
    else if (last === undefined) throw new Error(`${where}: begins without a command`);
    else if (line.startsWith('> ')) last.command += `\n${line.slice(2)}`;
    else last.printed.push(line);
  }
  return steps;
}

/** Every key replaced by its value. */
export function replaced(text: string, by: Iterable<readonly [string, string]>): string {
  let result = text;
  for (const [from, to] of by) result = result.replaceAll(new RegExp(`\\b${from}\\b`, 'g'), to);
  return result;
}

/** As it is compared: without what differs from run to run. */
export function steady(line: string): string {
  return line
    .replaceAll('::ffff:', '')
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
    .replace(/\b[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}\b/g, 'ID')
    .replace(/\b[\da-f]{16}\b/g, 'ID')
    .replace(/^\(node:\d+\)/, '(node:ID)')
    .replace(/(?<=replica |seen by |, )[\w.-]+:\d+\/[\da-f]{8}\b/g, 'REPLICA')
    .replace(/\b\d+(?:\.\d+)?( ?ms\b)/g, 'N$1')
    .replace(/"ms":[\d.]+/g, '"ms":N')
    .replace(/^date: .*$/i, 'Date: TIME');
}

/** What each command is to print, and what it has printed. The lines of several programs may mix. */
export interface Said {
  command: string;
  expected: string[];
  printed: string[];
}

export async function runSession(session: Block, folder: string): Promise<Said[]> {
  const steps = stepsOf(session);
  const files = filesAbove(session);
  const ports = await portsFor([...files.values(), ...steps.map(({ command }) => command)]);
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of files) writeFileSync(join(folder, name), replaced(text, ports));
  const shell = new Shell(folder, ports);
  closeAfterTest(() => shell.kill());
  const said: Said[] = [];
  for (const { command, printed } of steps) {
    const expected = printed.map(steady).sort();
    const used = [...files].filter(([name]) => command.includes(name)).map(([, text]) => text);
    const sources = command.endsWith('&') ? [command, ...used] : [];
    const listening = sources.flatMap((text) => [
      ...text.matchAll(/(?:\blisten[( ]|--port[= ])(\d+)/g),
    ]);
    await shell.run(
      command,
      expected,
      listening.map(([, port = '']) => Number(ports.get(port))),
    );
    const last = { command, expected, printed: shell.take() };
    said.push(last);
    if (last.printed.join('\n') !== expected.join('\n')) return said; // the rest would only wait
  }
  await shell.kill();
  said.push({ command: '(the end)', expected: [], printed: shell.take() });
  return said;
}

class Shell {
  #printed = '';
  #ended = false;
  readonly #child: ChildProcess;
  readonly #back: [string, string][];

  constructor(
    folder: string,
    private readonly ports: ReadonlyMap<string, string>,
  ) {
    this.#back = [...ports].map(([from, to]) => [to, from]);
    const bin = join(folder, '.bin');
    mkdirSync(bin);
    const curl = `#!/bin/sh\nexec '${process.execPath}' '${CURL}' "$@"\n`;
    writeFileSync(join(bin, 'curl'), curl, { mode: 0o755 });
    const path = [bin, dirname(process.execPath), process.env.PATH, '/usr/sbin'].join(delimiter);
    const env = { ...process.env, PATH: path, NODE_OPTIONS: '' };
    this.#child = spawn('sh', [], { cwd: folder, env, detached: true, stdio: 'pipe' });
    this.#child.on('exit', () => {
      this.#ended = true;
    });
    this.#child.stdout!.on('data', (chunk) => {
      this.#printed += chunk;
    });
    this.#write('exec 2>&1\n');
  }

  /** Resolves when the command is done, has printed all that it should, and its servers listen. */
  async run(command: string, expected: readonly string[], ports: readonly number[]): Promise<void> {
    this.#write(`${replaced(command, this.ports)}\nprintf '\\n${DONE}\\n'\n`);
    const giveUpAt = performance.now() + LIMIT_MS;
    for (;;) {
      const isDone = this.#printed.includes(`\n${DONE}\n`) && holdsAll(this.#lines(), expected);
      if (isDone && (await Promise.all(ports.map(accepts))).every((open) => open)) return;
      if (this.#ended || performance.now() > giveUpAt) return; // what is missing will be seen
      await setTimeout(5);
    }
  }

  /** The lines since the last time. */
  take(): string[] {
    const lines = this.#lines();
    this.#printed = '';
    return lines.sort();
  }

  #lines(): string[] {
    const lines = replaced(this.#printed.replace(`\n${DONE}\n`, ''), this.#back).split('\n');
    return lines.slice(0, lines.at(-1) === '' ? -1 : undefined).map(steady);
  }

  #write(text: string): void {
    this.#child.stdin!.write(text);
  }

  /** The shell and all that it has started. */
  async kill(): Promise<void> {
    if (this.#ended) return;
    const closed = nextEvent(this.#child, 'close');
    process.kill(-this.#child.pid!, 'SIGKILL');
    await closed;
  }
}

function holdsAll(lines: readonly string[], expected: readonly string[]): boolean {
  const rest = [...lines];
  return expected.every((line) => {
    const at = rest.indexOf(line);
    return at >= 0 && rest.splice(at, 1).length === 1;
  });
}
