// @ts-check
/**
 * The demo: an Express app with the proxy at /api, before three backends that fail when they are
 * told to (`npm start`), or before backends of your own (`npm start -- URL [URL ...]`); and a page
 * to see and to switch it all.
 */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import express from 'express';
import { tinyProxy } from 'express-tiny-proxy';
import { statusPage } from 'express-tiny-proxy/status-page';
import { explainListenError, parsePort, parseUrl, refuseItself } from './arguments.js';
import { startBackend } from './backend.js';
import { Client } from './client.js';
import { send, setLoad, switchBackends } from './controls.js';
import { Feed } from './feed.js';
import { onlyThisMachine, strictPage } from './guard.js';
import { introForBackends, introForUrls } from './intro.js';
import { ATTEMPT_TIMEOUT_MS, COOLDOWN_MS, FAILURES } from './limits.js';
import { Load } from './load.js';
import { describeDemo } from './state.js';

const GRACE_MS = 2000;
/** npm hands on a Ctrl-C that the terminal has sent already: two signals for one key. */
const SAME_CTRL_C_MS = 500;

const port = parsePort(process.env.PORT ?? '3000');
const urls = process.argv.slice(2).map(parseUrl);
const backends = urls.length > 0 ? [] : await Promise.all([1, 2, 3].map(startBackend));
const isOurs = backends.length > 0;

const proxy = tinyProxy({
  target: isOurs ? backends.map(({ url }) => url) : urls,
  changeOrigin: !isOurs, // a site in the net wants to be asked by its own name
  attemptTimeout: ATTEMPT_TIMEOUT_MS,
  breaker: { failures: FAILURES, cooldown: COOLDOWN_MS },
  log: { stream: { write: (line) => print(line.trimEnd()) } },
});
proxy.events.on('done', ({ requestId, noRetry }) => feed.explainLine(requestId, noRetry));

const app = express();
app.use(onlyThisMachine);
app.use('/api', proxy);
const status = statusPage(proxy, { access: 'loopback', actions: true });
app.use('/_proxy', status);
const server = app.listen(port, '127.0.0.1');
await once(server, 'listening').catch((error) => explainListenError(port, error));
const address = /** @type {import('node:net').AddressInfo} */ (server.address());
await refuseItself(urls, address.port);
const origin = `http://127.0.0.1:${address.port}`;

const paths = isOurs ? { GET: '/api/hello', POST: '/api/orders' } : { GET: '/api/', POST: '/api/' };
const client = new Client(origin, paths);
const load = new Load(client, !isOurs); // nobody's own backends are asked anything unasked
const describe = describeDemo({ proxy, backends, load });
const feed = new Feed(describe.state, (watched) => load.set({ watched }));

app.use(strictPage);
app.get('/status', (_req, res) => {
  res.type('json').send(`${JSON.stringify(proxy.status(), null, 2)}\n`);
});
app.get('/feed', feed.open);
app.post('/load/:what', setLoad(load));
app.post('/send/:what', send(client));
if (isOurs) {
  app.post('/backends/:which/:state', switchBackends(backends, print));
  app.post('/tour/again', (_req, res) => {
    describe.tour.again();
    res.type('text').send('tour now: from its start\n');
  });
}
app.use(express.static(fileURLToPath(new URL('page', import.meta.url))));

console.log(isOurs ? introForBackends(origin, backends) : introForUrls(origin, urls));

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
  feed.end();
  status.close();
  load.end();
  client.end();
  await proxy.close(GRACE_MS);
  server.closeAllConnections();
  for (const backend of backends) backend.stop();
}

/**
 * To the terminal, and to the page.
 *
 * @param {string} line
 */
function print(line) {
  console.log(line);
  feed.addLine(line);
}
