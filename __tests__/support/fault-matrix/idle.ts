// A first request has gone well, and its connection is kept. What befalls it while it is idle harms
// nobody. What befalls it as it is used again may be a race that nobody lost.
import { localhostCertificate } from '../certificates.js';
import {
  afterRequest,
  answer,
  answerFirst,
  breakTls,
  close,
  drip,
  hang,
  type Peer,
  type Play,
  plays,
  reset,
  type SickBackend,
  untilDropped,
  write,
} from '../sick-backend.js';
import { delivery } from '../wait.js';
import { all, answered, type FaultRow, goesOn, goesOnFrom, SHORT_MS } from './row.js';

const idle = { phase: 'idle, then used again', reached: 'all' } as const;

/** It goes wrong while idle; the connection after it answers. */
const whileIdle = (fault: Play) => ({
  play: (peer: Peer) => (peer.nth === 1 ? answerFirst(peer) : plays(afterRequest, answer())(peer)),
  async whileIdle(sick: SickBackend) {
    await fault(sick.last);
    await untilDropped(sick);
    await delivery();
  },
});
/** The connection after it serves its first request as the one that the row is about. */
const dropped = { ...idle, connections: 2, ...all(answered) } as const;
const used = { ...idle, connections: 1 } as const;
const whenUsed = (...steps: Play[]) => ({ play: plays(answerFirst, afterRequest, ...steps) });

export const IDLE: FaultRow[] = [
  { ...dropped, fault: 'closed', how: 'while idle: a new one is made', sick: whileIdle(close) },
  { ...dropped, fault: 'reset', how: 'while idle: a new one is made', sick: whileIdle(reset) },
  {
    ...dropped,
    fault: 'garbage',
    how: 'while idle: a response that nobody has asked for',
    sick: whileIdle(write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong')),
  },
  {
    ...dropped,
    fault: '5xx',
    how: 'while idle: 500, which answers nothing',
    sick: whileIdle(write('HTTP/1.1 500 Failed\r\nContent-Length: 5\r\n\r\nwrong')),
  },
  {
    ...dropped,
    fault: '503, Retry-After',
    how: 'while idle: it answers nothing',
    sick: whileIdle(write('HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 5\r\n\r\nwrong')),
  },
  {
    ...dropped,
    fault: 'slow drip',
    how: 'while idle: the first byte ends the connection',
    sick: whileIdle(drip('H')),
  },
  {
    ...dropped,
    fault: 'TLS failure',
    how: 'while idle: bytes that are no TLS record',
    sick: { ...whileIdle(breakTls), tls: localhostCertificate },
    options: { ssl: { ca: localhostCertificate.cert } },
  },
  {
    ...idle,
    fault: 'refused',
    how: 'while idle it goes away for good',
    sick: {
      play: answerFirst,
      async whileIdle(sick) {
        await sick.stop();
        await delivery();
      },
    },
    reached: 'nothing',
    connections: 1,
    ...goesOn('ECONNREFUSED'),
  },
  {
    ...used,
    fault: 'reset',
    how: 'as it is used again: the race',
    sick: whenUsed(reset),
    ...goesOn('ECONNRESET', 0),
  },
  {
    ...used,
    fault: 'closed',
    how: 'as it is used again: the race',
    sick: whenUsed(close),
    ...goesOn('ECONNRESET', 0),
  },
  {
    ...used,
    fault: 'hang',
    how: 'as it is used again',
    sick: whenUsed(hang),
    options: { attemptTimeout: SHORT_MS },
    ...goesOn('ETIMEDOUT'),
  },
  {
    ...used,
    fault: 'garbage',
    how: 'as it is used again',
    sick: whenUsed(write('SSH-2.0-OpenSSH_9.2\r\n')),
    ...goesOn('INVALID_RESPONSE|HPE_INVALID_CONSTANT'),
  },
  {
    ...used,
    fault: 'slow drip',
    how: 'as it is used again: a head that never ends',
    sick: whenUsed(write('HTTP/1.1 200 OK\r\nX-A:'), drip('a')),
    options: { attemptTimeout: SHORT_MS },
    ...goesOn('ETIMEDOUT'),
  },
  {
    ...used,
    fault: '5xx',
    how: 'as it is used again: 500',
    sick: whenUsed(answer('HTTP/1.1 500 Failed')),
    ...goesOnFrom(500),
  },
  {
    ...used,
    fault: 'TLS failure',
    how: 'as it is used again: bytes that are no TLS record',
    sick: { ...whenUsed(breakTls), tls: localhostCertificate },
    options: { ssl: { ca: localhostCertificate.cert } },
    ...goesOn('EPROTO|ERR_SSL_*'),
  },
];
