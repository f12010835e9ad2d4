// @ts-check
/** The load generators: wrk if it is installed, else one on Node, which is slower. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCommand } from './processes.js';
import { findProgram, versionOf } from './programs.js';

const TIMEOUT_SECONDS = 30;
const WRK_SCRIPT = fileURLToPath(new URL('wrk.lua', import.meta.url));
const GENERATOR = fileURLToPath(new URL('load-generator.js', import.meta.url));

/**
 * @typedef {object} Report
 * @property {number} requests answered
 * @property {number} bytes received
 * @property {number} seconds
 * @property {number} failed
 * @property {number} p50 latency in ms
 * @property {number} p99
 */

/**
 * @callback RunLoad
 * @param {number} port
 * @param {number} connections
 * @param {number} seconds
 * @returns {Promise<Report>}
 */

/**
 * @param {import('./works.js').Work} work
 * @param {string} folder
 * @returns {{ title: string, runLoad: RunLoad }}
 */
export function loadGenerator(work, folder) {
  const program = findProgram('wrk');
  const bodyFile = work.body && join(folder, 'body');
  if (bodyFile && work.body) writeFileSync(bodyFile, work.body);
  if (program === undefined) {
    return { title: 'undici (wrk is not installed)', runLoad: ownGenerator(work, bodyFile) };
  }
  const version = versionOf(program, ['-v']);
  return { title: `wrk ${version}`, runLoad: wrk(program, work, bodyFile) };
}

/**
 * @param {string} program
 * @param {import('./works.js').Work} work
 * @param {string} [bodyFile]
 * @returns {RunLoad}
 */
function wrk(program, { method, path }, bodyFile) {
  return async (port, connections, seconds) => {
    const settings = ['-t1', `-c${connections}`, `-d${seconds}s`, `--timeout=${TIMEOUT_SECONDS}s`];
    const sent = bodyFile === undefined ? [method] : [method, bodyFile];
    const url = `http://127.0.0.1:${port}${path}`;
    const printed = await runCommand(program, [...settings, '-s', WRK_SCRIPT, url, '--', ...sent]);
    return JSON.parse(printed.trimEnd().split('\n').at(-1) ?? '');
  };
}

/**
 * @param {import('./works.js').Work} work
 * @param {string} [bodyFile]
 * @returns {RunLoad}
 */
function ownGenerator({ method, path }, bodyFile) {
  return async (port, connections, seconds) => {
    const origin = `http://127.0.0.1:${port}`;
    const timeoutSeconds = TIMEOUT_SECONDS;
    const settings = { origin, path, method, bodyFile, connections, seconds, timeoutSeconds };
    return JSON.parse(await runCommand(process.execPath, [GENERATOR, JSON.stringify(settings)]));
  };
}
