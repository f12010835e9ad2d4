// @ts-check
/**
 * The demo: an Express app with the proxy at /api, before three backends that fail when they are
 * told to (`npm start`), or before backends of your own (`npm start -- URL [URL ...]`).
 */
import { once } from 'node:events';
import express from 'express';
import { tinyProxy } from 'express-tiny-proxy';
import { STATES, startBackend } from './backend.js';

const ATTEMPT_TIMEOUT_MS = 3000;
const COOLDOWN_MS = 10_000;
const GRACE_MS = 2000;
/** npm hands on a Ctrl-C that the terminal has sent already: two signals for one key. */
const SAME_CTRL_C_MS = 500;

const port = parsePort(process.env.PORT ?? '3000');
const urls = process.argv.slice(2).map(parseUrl);
const backends = urls.length > 0 ? [] : await Promise.all([1, 2, 3].map(startBackend));

const proxy = tinyProxy({
  target: urls.length > 0 ? urls : backends.map(({ url }) => url),
  changeOrigin: urls.length > 0, // a site in the net wants to be asked by its own name
  attemptTimeout: ATTEMPT_TIMEOUT_MS,
  breaker: { cooldown: COOLDOWN_MS },
});

const app = express();
app.use('/api', proxy);
app.get('/status', (_req, res) => {
  res.type('json').send(`${JSON.stringify(proxy.status(), null, 2)}\n`);
});
if (backends.length > 0) app.post('/backends/:which/:state', switchBackends);

const server = app.listen(port, '127.0.0.1');
await once(server, 'listening').catch(explainListenError);
const address = /** @type {import('node:net').AddressInfo} */ (server.address());
const origin = `http://127.0.0.1:${address.port}`;
console.log(backends.length > 0 ? introForBackends() : introForUrls());

/** @type {number | undefined} */
let stoppingSince;
process.on('SIGINT', stop);
process.on('SIGTERM', stop);

/** The first signal ends the demo as a server should end, a second one at once. */
async function stop() {
  if (stoppingSince !== undefined) {
    if (performance.now() - stoppingSince > SAME_CTRL_C_MS) process.exit(130);
    return;
  }
  stoppingSince = performance.now();
  console.log(`\nEnding: requests in flight have ${GRACE_MS / 1000} s. Ctrl-C again ends at once.`);
  server.close();
  await proxy.close(GRACE_MS);
  server.closeAllConnections();
  for (const backend of backends) backend.stop();
}

/** @type {import('express').RequestHandler<{ which: string, state: string }>} */
async function switchBackends(req, res) {
  const { which, state } = req.params;
  const chosen = backends.filter(({ number }) => which === 'all' || which === String(number));
  if (chosen.length === 0 || !STATES.has(state)) {
    const states = [...STATES.keys()].join(', ');
    res
      .status(404)
      .type('text')
      .send(`POST /backends/WHICH/STATE\nWHICH: 1, 2, 3, all\nSTATE: ${states}\n`);
    return;
  }
  for (const backend of chosen) await backend.switchTo(state);
  const now = `backends now: ${backends.map((backend) => backend.describe()).join(', ')}`;
  console.log(`-- ${now}`);
  res.type('text').send(`${now}\n`);
}

function introForBackends() {
  const names = backends.map(({ number, url }) => `${number} is ${new URL(url).host}`);
  return `express-tiny-proxy demo: ${origin}/api
The backends behind it: ${names.join(', ')}.
${introToLimits()}

1. The backends take turns.
     curl -i ${origin}/api/hello
2. One fails: the next one answers. Two hops in the log line, "attempt": 2 in the answer.
     curl -X POST ${origin}/backends/2/500
     for i in 1 2 3; do curl ${origin}/api/hello; done
3. A POST is sent once: where its backend fails, so does it.
     for i in 1 2 3; do curl -d n=1 ${origin}/api/orders; done
4. Five failures in a row open its breaker (a line in the log): it is left out, then probed.
     for i in $(seq 15); do curl -s ${origin}/api/hello; done; curl ${origin}/status
5. All are down: 502, and when all breakers are open, 503 with Retry-After.
     curl -X POST ${origin}/backends/all/refuse
     for i in $(seq 6); do curl -i ${origin}/api/hello; done
6. Your own mix: POST /backends/{1,2,3,all}/STATE, and STATE is ok, 500, refuse (its port is
   closed), hang (no answer), slow (2 s), or die (in mid-body).
     curl -X POST ${origin}/backends/all/ok

Ctrl-C ends the demo. The log:`;
}

function introForUrls() {
  return `express-tiny-proxy demo: ${origin}/api, before ${urls.join(', ')}
${introToLimits()}

     curl -i ${origin}/api/
     curl ${origin}/status

Stop one of your backends and see the retry. Ctrl-C ends the demo. The log:`;
}

function introToLimits() {
  const [attempt, cooldown] = [ATTEMPT_TIMEOUT_MS / 1000, COOLDOWN_MS / 1000];
  return `Each request prints its log line here, its hops last. In this demo an attempt may take
${attempt} s, and a breaker stays open for ${cooldown} s.`;
}

/** @param {string} value */
function parseUrl(value) {
  const protocol = URL.canParse(value) ? new URL(value).protocol : '';
  if (protocol === 'http:' || protocol === 'https:') return value;
  return giveUp(`'${value}' is not a backend's URL. A right one: http://127.0.0.1:8081`);
}

/** @param {string} value */
function parsePort(value) {
  if (/^\d{1,5}$/.test(value) && Number(value) <= 65_535) return Number(value);
  return giveUp(`PORT is '${value}', which is no port. A right one: PORT=3100 npm start`);
}

/**
 * @param {NodeJS.ErrnoException} error
 * @returns {never}
 */
function explainListenError(error) {
  const what = error.code === 'EADDRINUSE' ? 'it is taken' : error.message;
  return giveUp(`Cannot listen on port ${port}: ${what}. Another one: PORT=3100 npm start`);
}

/**
 * @param {string} message
 * @returns {never}
 */
function giveUp(message) {
  console.error(message);
  process.exit(1);
}
