// @ts-check
/**
 * The load generator where wrk is missing, a process of its own: so many connections, each with one
 * request after the other until the time is over. It prints its report as a line of JSON, as
 * `wrk.lua` does. Settings: `origin`, `path`, `method`, `bodyFile`, `connections`, `seconds` and
 * `timeoutSeconds`.
 */
import { readFileSync } from 'node:fs';
import { Client } from 'undici';
import { readSettings } from './processes.js';

const { origin, path, method, bodyFile, connections, seconds, timeoutSeconds } = readSettings();
const body = bodyFile === undefined ? null : readFileSync(bodyFile);
const timeouts = { headersTimeout: timeoutSeconds * 1000, bodyTimeout: timeoutSeconds * 1000 };

/** @type {number[]} */
const latencies = [];
let bytes = 0;
let failed = 0;

const start = performance.now();
for (let i = 0; i < connections; i += 1) sendNext(new Client(origin, timeouts));
setTimeout(report, seconds * 1000);

/** @param {Client} client */
function sendNext(client) {
  const sent = performance.now();
  client.dispatch(
    { path, method, body },
    {
      onRequestStart() {},
      onResponseStart(_controller, status) {
        if (status !== 200) failed += 1;
      },
      onResponseData(_controller, chunk) {
        bytes += chunk.length;
      },
      onResponseEnd() {
        latencies.push(performance.now() - sent);
        sendNext(client);
      },
      onResponseError() {
        failed += 1;
        setImmediate(sendNext, client);
      },
    },
  );
}

function report() {
  latencies.sort((a, b) => a - b);
  const rank = (/** @type {number} */ percent) =>
    latencies[Math.ceil((latencies.length * percent) / 100) - 1];
  const times = { seconds: (performance.now() - start) / 1000, p50: rank(50), p99: rank(99) };
  process.stdout.write(
    JSON.stringify({ requests: latencies.length, bytes, failed, ...times }),
    () => process.exit(), // what is in flight does not count
  );
}
