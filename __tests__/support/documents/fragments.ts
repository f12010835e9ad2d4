/**
 * Makes a program of a block that is a part of one. What it uses and does not declare is put before
 * it; two backends answer 200; the proxy is mounted at /api, and one GET is sent to /api/x.
 *
 * - `fragment=before`: what stands before the proxy is mounted. One that mounts it is left to do so.
 * - `fragment=after`: what stands behind the mounted proxy.
 * - `fragment=options`: members of `tinyProxy({ target, ... })`.
 */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Block } from './blocks.js';

/** By name, in the order in which they are needed; each is left out where it is not used. */
const PRELUDE: readonly (readonly [name: string, code: string])[] = [
  ['accessLog', "import { accessLog } from 'express-tiny-proxy';"],
  ['requestId', "import { requestId } from 'express-tiny-proxy';"],
  ['ProxyError', "import { ProxyError } from 'express-tiny-proxy';"],
  ['tinyProxy', "import { tinyProxy } from 'express-tiny-proxy';"],
  ['traceRequests', "import { traceRequests } from 'express-tiny-proxy/traces';"],
  ['statusPage', "import { statusPage } from 'express-tiny-proxy/status-page';"],
  ['discover', "import { discover } from 'express-tiny-proxy/discovery';"],
  ['whoIs', 'const whoIs = async (req) => ({ isAdmin: req.user !== undefined });'],
  ['express', "import express from 'express';"],
  ['app', 'const app = express();'],
  [
    'proxy',
    "const proxy = tinyProxy({ target: ['http://127.0.0.1:8081', 'http://127.0.0.1:8082'], log: false });",
  ],
];

const MOUNT = "app.use('/api', proxy);";

/** One request; then all is closed, and the process has to end by itself. */
const FINISH = `
import { once } from 'node:events';
const listening = app.listen(0, '127.0.0.1');
await once(listening, 'listening');
const { port } = /** @type {import('node:net').AddressInfo} */ (listening.address());
const answer = await fetch(\`http://127.0.0.1:\${port}/api/x\`);
console.log(String(answer.status));
await answer.text();
listening.close();
listening.closeAllConnections();
`;

export function programOf({ info, text, where }: Block): string {
  const fragment = {
    before: () => `${text}\n${/\bapp\.use\('\//.test(text) ? '' : MOUNT}`,
    after: () => `${MOUNT}\n${text}`,
    options: () =>
      `const proxy = tinyProxy({\ntarget: ['http://127.0.0.1:8081', 'http://127.0.0.1:8082'],\n${text}});\n${MOUNT}`,
  }[info.fragment ?? ''];
  if (fragment === undefined) throw new Error(`${where}: no such fragment: ${info.fragment}`);
  const closing = /\bconst proxy\b|\bproxy\b/.test(fragment()) ? 'await proxy.close(0);\n' : '';
  const server = /\bconst server\b/.test(text) ? 'server.close();\n' : '';
  const code = `${fragment()}\n${FINISH}${closing}${server}`;
  return withPrelude(code);
}

function withPrelude(code: string): string {
  let program = code;
  for (const [name, line] of [...PRELUDE].reverse()) {
    const declared = new RegExp(
      `(?:const|let) ${name}\\b|^import [^;]*\\b${name}\\b[^;]*from`,
      'm',
    );
    if (new RegExp(`\\b${name}\\b`).test(program) && !declared.test(program)) {
      program = `${line}\n${program}`;
    }
  }
  return program;
}

/** Runs one; answers what it has printed. @throws where it does not end well and by itself. */
export async function runFragment(code: string, folder: string, name: string): Promise<string> {
  writeFileSync(join(folder, name), code);
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [name], {
    cwd: folder,
    timeout: 10_000,
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  return stdout + stderr;
}
