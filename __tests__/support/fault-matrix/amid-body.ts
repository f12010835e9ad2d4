// The head has come, and part of the body: `sick`, of eight bytes. A response that has begun is never
// sent again, and never ends as if it were whole. Of a failed status, nothing has begun yet.
import { localhostCertificate } from '../certificates.js';
import {
  afterRequest,
  breakTls,
  close,
  drip,
  hang,
  type Play,
  plays,
  reset,
  write,
} from '../sick-backend.js';
import { all, answered, cut, type FaultRow, next, SHORT_MS } from './row.js';

const reached = { phase: 'amid the body', reached: 'all', connections: 1 } as const;
const beginWith = (head: string) => write(`HTTP/1.1 ${head}\r\nContent-Length: 8\r\n\r\nsick`);
const sick = (...steps: Play[]) => ({ play: plays(afterRequest, beginWith('200 OK'), ...steps) });
const failing = (head: string, step: Play) => ({
  play: plays(afterRequest, beginWith(head), step),
});
const chunk = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsick\r\n';

/** A GET and a PUT have gone on with the head; the response that a POST was passed is cut. */
const goneOn = (status: number) => ({
  GET: next(status),
  PUT: next(status),
  POST: cut('ECONNRESET', status, 'method'),
});

export const AMID_BODY: FaultRow[] = [
  { ...reached, fault: 'reset', how: 'of 8 bytes', sick: sick(reset), ...all(cut('ECONNRESET')) },
  { ...reached, fault: 'closed', how: 'of 8 bytes', sick: sick(close), ...all(cut('ECONNRESET')) },
  {
    ...reached,
    fault: 'closed',
    how: 'between two chunks',
    sick: { play: plays(afterRequest, write(chunk), close) },
    ...all(cut('ECONNRESET')),
  },
  {
    ...reached,
    fault: 'reset',
    how: 'of a body that ends by close',
    sick: {
      play: plays(afterRequest, write('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nsick'), reset),
    },
    ...all(cut('ECONNRESET')),
  },
  {
    ...reached,
    fault: 'hang',
    how: 'of 8 bytes',
    sick: sick(hang),
    options: { idleTimeout: SHORT_MS },
    ...all(cut('ETIMEDOUT')),
  },
  {
    ...reached,
    fault: 'garbage',
    how: 'a chunk size that is none',
    sick: { play: plays(afterRequest, write(chunk), write('zz\r\n')) },
    ...all(cut('INVALID_RESPONSE|HPE_INVALID_CHUNK_SIZE')),
  },
  {
    ...reached,
    fault: 'slow drip',
    how: 'a byte every 20 ms, to the end: no failure',
    sick: sick(drip('!', 4)),
    options: { idleTimeout: SHORT_MS },
    ...all(answered),
  },
  {
    ...reached,
    fault: 'TLS failure',
    how: 'bytes that are no TLS record',
    sick: { ...sick(breakTls), tls: localhostCertificate },
    options: { ssl: { ca: localhostCertificate.cert } },
    ...all(cut('EPROTO|ERR_SSL_*')),
  },
  {
    ...reached,
    fault: '5xx',
    how: '500, and reset amid its body',
    sick: failing('500 Failed', reset),
    ...goneOn(500),
  },
  {
    ...reached,
    fault: '503, Retry-After',
    how: 'and closed amid its body',
    sick: failing('503 Busy\r\nRetry-After: 1', close),
    ...goneOn(503),
  },
];
