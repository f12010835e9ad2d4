// @ts-check
/**
 * Runs in several processes: start a file of this folder as a process of its own, ask it things,
 * leave none behind. The parent calls `runBounded`, `startProcess` and `runCommand`; the child
 * calls `serveParent`.
 */
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const ASK_LIMIT_MS = 30_000;
const START_LIMIT_MS = 10_000;

/** @typedef {import('node:child_process').ChildProcess} ChildProcess */

/**
 * A child process, and what one can do with it.
 * @typedef {object} Peer
 * @property {any} ready what the child told when it was ready
 * @property {(question: string, value?: unknown) => Promise<any>} ask
 * @property {() => Promise<void>} kill SIGKILL, and wait until it is gone
 * @property {(name: NodeJS.Signals) => void} signal
 * @property {Promise<number | null>} exited its exit code
 */

/** @type {Set<ChildProcess>} */
const running = new Set();

/**
 * Runs `main` and ends the process: with 0, or with 1 if it throws, or is not done after `limitMs`.
 * Whatever happens, no child outlives this process.
 * @param {number} limitMs
 * @param {() => Promise<void>} main
 */
export async function runBounded(limitMs, main) {
  process.once('exit', () => {
    for (const child of running) child.kill('SIGKILL');
  });
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));
  const limit = setTimeout(() => fail(new Error(`not done after ${limitMs / 1000} s`)), limitMs);
  await main().catch(fail);
  clearTimeout(limit);
  process.exit();
}

/** @param {unknown} error */
function fail(error) {
  console.error(error);
  process.exit(1);
}

/**
 * @param {string} file a file of this folder that calls `serveParent`
 * @param {object} settings what the child gets as its settings
 * @param {string[]} [nodeOptions] '--expose-gc', say
 * @param {string[]} [runner] what runs Node: `ip netns exec NAME`
 * @returns {Promise<Peer>}
 */
export async function startProcess(file, settings, nodeOptions = [], runner = []) {
  const [execPath = process.execPath, ...before] = [...runner, process.execPath];
  const child = fork(new URL(file, import.meta.url), [JSON.stringify(settings)], {
    execPath,
    execArgv: [...before, ...nodeOptions],
    env: { ...process.env, NODE_ENV: 'production' },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'], // a log goes to /dev/null
  });
  /** @type {Map<number, { resolve: (answer: any) => void, reject: (error: Error) => void }>} */
  const waiting = new Map();
  let asked = 0;
  /** @type {Promise<number | null>} */
  const exited = new Promise((resolve) => child.once('exit', resolve));
  running.add(child);
  exited.then((code) => {
    running.delete(child);
    for (const { reject } of waiting.values()) reject(new Error(`${file} ended with ${code}`));
  });

  /** @param {number} id */
  const answerTo = (id) => {
    const answer = new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
    const limit = setTimeout(
      () => waiting.get(id)?.reject(new Error(`${file} gave no answer`)),
      ASK_LIMIT_MS,
    );
    return answer.finally(() => {
      clearTimeout(limit);
      waiting.delete(id);
    });
  };
  child.on('message', (/** @type {{ id: number, answer?: any, error?: string }} */ message) => {
    const { id, answer, error } = message;
    if (error === undefined) waiting.get(id)?.resolve(answer);
    else waiting.get(id)?.reject(new Error(`${file}: ${error}`));
  });

  return {
    ready: await answerTo(0), // the child says by itself that it is ready
    async ask(question, value) {
      if (!child.connected) throw new Error(`${file} has ended`);
      asked += 1;
      child.send({ id: asked, question, value });
      return answerTo(asked);
    },
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
    signal(name) {
      child.kill(name);
    },
    exited,
  };
}

/**
 * Starts a program that serves until it is killed, and waits until `port` accepts connections.
 * @param {string} command
 * @param {string[]} args
 * @param {number} port
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<{ pid: number } & Pick<Peer, 'exited' | 'kill'>>}
 */
export async function startProgram(command, args, port, env = process.env) {
  const child = spawn(command, args, { env, stdio: ['ignore', 'ignore', 'inherit'] });
  /** @type {Promise<number | null>} */
  const exited = new Promise((resolve, reject) => {
    child.once('exit', resolve);
    child.once('error', reject);
  });
  running.add(child);
  const gone = exited.then((code) => {
    running.delete(child);
    throw new Error(`${command} ended with ${code}`);
  });
  await Promise.race([gone, untilAccepting(port)]);
  gone.catch(() => {}); // whoever cares waits for `exited`
  return {
    pid: Number(child.pid),
    exited,
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/** @param {number} port */
async function untilAccepting(port) {
  const until = performance.now() + START_LIMIT_MS;
  while (performance.now() < until) {
    const socket = connect(port, '127.0.0.1');
    const accepted = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (accepted) return;
    await sleep(20);
  }
  throw new Error(`nothing listens on port ${port}`);
}

/** For programs that cannot choose one themselves. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  server.close();
  await once(server, 'close');
  return port;
}

/**
 * The child's side: says that it is ready, answers the parent's questions, and ends with the
 * parent.
 * @param {unknown} ready
 * @param {Record<string, (value: any) => unknown>} answers by question
 */
export function serveParent(ready, answers) {
  process.on('disconnect', () => process.exit());
  process.on(
    'message',
    async (/** @type {{ id: number, question: string, value: any }} */ message) => {
      const { id, question, value } = message;
      try {
        process.send?.({ id, answer: await answers[question]?.(value) });
      } catch (error) {
        process.send?.({ id, error: String(error) });
      }
    },
  );
  process.send?.({ id: 0, answer: ready });
}

/** What the parent gave a child as its settings. */
export function readSettings() {
  return JSON.parse(process.argv[2] ?? '{}');
}

/**
 * Runs a program to its end.
 * @param {string} command
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<string>} what it printed
 */
export async function runCommand(command, args, env = process.env) {
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  running.add(child);
  let printed = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    printed += text;
  });
  try {
    const [code] = await once(child, 'close');
    if (code !== 0) throw new Error(`${command} ended with ${code}`);
  } finally {
    running.delete(child);
  }
  return printed;
}
