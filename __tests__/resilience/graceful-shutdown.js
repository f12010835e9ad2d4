// @ts-check
/**
 * The recipe: a server that ends without losing a request. `BACKENDS=http://... PORT=8080 node
 * graceful-shutdown.js`; SIGTERM ends it.
 */
import express from 'express';
import { tinyProxy } from 'express-tiny-proxy';

/** Until who sends requests has seen that /ready answers 503, and sends them elsewhere. */
const LEAVE_MS = 2000;
/** For what is in flight then. Both together: shorter than what kills the process. */
const GRACE_MS = 5000;

let isLeaving = false;
const proxy = tinyProxy({
  target: (process.env.BACKENDS ?? 'http://127.0.0.1:8081').split(','),
  ws: true,
});
const app = express();
app.get('/ready', (_req, res) => void res.sendStatus(isLeaving ? 503 : 200));
app.use((_req, res, next) => {
  if (isLeaving) res.set('Connection', 'close'); // the client's next request goes elsewhere
  next();
});
app.use('/api', proxy);
const server = app.listen(Number(process.env.PORT ?? 8080), '127.0.0.1');

process.once('SIGTERM', async () => {
  isLeaving = true;
  await new Promise((resolve) => setTimeout(resolve, LEAVE_MS));
  server.close(); // no new connections
  await proxy.close(GRACE_MS); // what is in flight ends; then it is cut, WebSockets by FIN
  server.closeAllConnections(); // those of clients that keep them
});
