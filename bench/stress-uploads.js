// @ts-check
/**
 * A thousand slow uploads at once: each sends 128 KB, then a byte a second, then its end. All arrive
 * whole, and what the proxy keeps of them for retries stays within `retry.maxTotalBytes`: it holds
 * no more than that beyond what it holds with retries off.
 */
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { check, checkNoTroubles } from './checks.js';
import { runBounded, startProcess } from './processes.js';
import { inMb, MIB } from './units.js';

const CLIENTS = 1000;
const START = Buffer.alloc(128 * 1024, 'x');
const SECONDS = 5;
const MOST_KEPT = 16 * MIB;
/** Blocks that are not full, and what the collector has not got to. */
const SLACK = 16 * MIB;

await runBounded(180_000, async () => {
  const backend = await startProcess('backend.js', { ports: [0] });
  const target = [`http://127.0.0.1:${backend.ready[0]}`];
  const without = await growth({ target, retry: false }, 'retries off');
  const within = await growth({ target, retry: { maxTotalBytes: MOST_KEPT } }, '16 MB kept');
  check(
    within - without < MOST_KEPT + SLACK,
    `${CLIENTS} slow uploads: ${inMb(within - without)} more than with retries off, ` +
      `less than ${inMb(MOST_KEPT + SLACK)}`,
  );
});

/**
 * @param {object} options
 * @param {string} name
 */
async function growth(options, name) {
  const settings = { mounts: { '/api': options } };
  const proxy = await startProcess('proxy.js', settings);
  await Promise.all(Array.from({ length: 50 }, () => upload(proxy.ready, 0)));
  const before = await proxy.ask('watchRss');
  const bytes = await Promise.all(
    Array.from({ length: CLIENTS }, () => upload(proxy.ready, SECONDS)),
  );
  const grown = (await proxy.ask('peakRss')) - before;
  const whole = bytes.filter((count) => count === START.length + SECONDS).length;
  console.log(`${name}: RSS of the proxy grew by ${inMb(grown)}`);
  check(whole === CLIENTS, `${whole} uploads arrived whole`);
  await checkNoTroubles(proxy);
  return grown;
}

/**
 * @param {number} port
 * @param {number} seconds
 */
async function upload(port, seconds) {
  const agent = new Agent();
  const req = request({ host: '127.0.0.1', port, path: '/api/upload', method: 'PUT', agent });
  req.setHeader('Transfer-Encoding', 'chunked');
  const responded = once(req, 'response');
  req.write(START);
  for (let second = 0; second < seconds; second += 1) {
    await sleep(1000);
    req.write('x');
  }
  req.end();
  const [res] = await responded;
  const { bytes } = JSON.parse((await res.toArray()).join(''));
  return bytes;
}
