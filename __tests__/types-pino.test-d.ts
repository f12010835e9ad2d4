// Compiled, never run: pino-http has a `req.id` of its own (`string | number | object`); ours is a
// string beside it, and neither package's types are in the way of the other's.
import express from 'express';
import { pinoHttp, type ReqId } from 'pino-http';
import { requestId, tinyProxy } from '../src/index.js';

const app = express();
app.use(pinoHttp({ genReqId: (req) => req.headers['x-request-id'] ?? 'made' }));
app.use(requestId());
app.use(
  '/api',
  tinyProxy({ target: 'http://10.0.0.1:8081', director: (_outgoing, req) => req.id }),
);

app.get('/', (req, res) => {
  const id: string = req.id;
  const theirs: ReqId = req.id;
  req.log.info({ theirs, hops: req.hops }, 'proxied');
  res.send(id.toUpperCase());
  // @ts-expect-error: no number, whatever pino-http says
  req.id = 7;
});
