// @ts-check
/**
 * 256 MB up and 256 MB down through the proxy, the reader slower than the writer: every byte
 * arrives, and the proxy holds next to nothing of it. The upload is a PUT, whose beginning the
 * proxy keeps for a retry.
 */
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { check, checkNoTroubles } from './checks.js';
import { send } from './client.js';
import { payload, payloadChecksum, readSlowly } from './payload.js';
import { runBounded, startProcess } from './processes.js';
import { inMb, MIB } from './units.js';

const BYTES = 256 * MIB;
const MOST_GROWTH = 64 * MIB;
const WARM_UP_REQUESTS = 500;

await runBounded(120_000, async () => {
  const backend = await startProcess('backend.js', { ports: [0] });
  const target = [`http://127.0.0.1:${backend.ready[0]}`];
  const settings = { mounts: { '/api': { target } } };
  const proxy = await startProcess('proxy.js', settings);
  const agent = new Agent({ keepAlive: true });
  for (let i = 0; i < WARM_UP_REQUESTS; i += 1) {
    await send({ agent, port: proxy.ready, path: '/api/small' });
  }
  const sha256 = payloadChecksum(BYTES);

  const before = await proxy.ask('watchRss');
  const uploaded = await upload(proxy.ready);
  check(uploaded.bytes === BYTES && uploaded.sha256 === sha256, `${BYTES / MIB} MB up, all equal`);
  const afterUpload = await proxy.ask('peakRss');
  const downloaded = await download(proxy.ready);
  check(
    downloaded.bytes === BYTES && downloaded.sha256 === sha256,
    `${BYTES / MIB} MB down, all equal`,
  );
  const afterBoth = await proxy.ask('peakRss');

  const peaks = `peak ${inMb(afterUpload)} up, ${inMb(afterBoth)} up and down`;
  console.log(`RSS of the proxy: ${inMb(before)} before, ${peaks}`);
  check(
    afterBoth - before < MOST_GROWTH,
    `it grew by ${inMb(afterBoth - before)}, less than ${inMb(MOST_GROWTH)}`,
  );
  await checkNoTroubles(proxy);
});

/** @param {number} port */
async function upload(port) {
  const req = request({ host: '127.0.0.1', port, path: '/api/upload', method: 'PUT' });
  req.setHeader('Content-Length', BYTES);
  const responded = once(req, 'response');
  await pipeline(payload(BYTES), req);
  const [res] = await responded;
  return JSON.parse((await res.toArray()).join(''));
}

/** @param {number} port */
async function download(port) {
  const req = request({ host: '127.0.0.1', port, path: `/api/download/${BYTES}` }).end();
  const [res] = await once(req, 'response');
  return readSlowly(res);
}
