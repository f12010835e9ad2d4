// The connection stands, and has got the request; no byte of a head has come.
import { localhostCertificate } from '../certificates.js';
import {
  afterRequest,
  answer,
  breakTls,
  close,
  drip,
  hang,
  type Play,
  plays,
  reset,
  write,
} from '../sick-backend.js';
import { type FaultRow, goesOn, goesOnFrom, SHORT_MS } from './row.js';

const reached = { phase: 'before the headers', reached: 'all', connections: 1 } as const;
const sick = (...steps: Play[]) => ({ play: plays(afterRequest, ...steps) });

export const BEFORE_HEADERS: FaultRow[] = [
  { ...reached, fault: 'reset', how: 'no byte comes', sick: sick(reset), ...goesOn('ECONNRESET') },
  { ...reached, fault: 'closed', how: 'no byte comes', sick: sick(close), ...goesOn('ECONNRESET') },
  {
    ...reached,
    fault: 'hang',
    how: 'no byte comes',
    sick: sick(hang),
    options: { attemptTimeout: SHORT_MS },
    ...goesOn('ETIMEDOUT'),
  },
  {
    ...reached,
    fault: 'garbage',
    how: 'bytes of another protocol',
    sick: sick(write('SSH-2.0-OpenSSH_9.2\r\n')),
    ...goesOn('INVALID_RESPONSE|HPE_INVALID_CONSTANT'),
  },
  {
    ...reached,
    fault: 'slow drip',
    how: '102 Processing, again and again',
    sick: sick(drip('HTTP/1.1 102 Processing\r\n\r\n')),
    options: { attemptTimeout: SHORT_MS },
    ...goesOn('ETIMEDOUT'),
  },
  {
    ...reached,
    fault: 'TLS failure',
    how: 'bytes that are no TLS record',
    sick: { ...sick(breakTls), tls: localhostCertificate },
    options: { ssl: { ca: localhostCertificate.cert } },
    ...goesOn('EPROTO|ERR_SSL_*'),
  },
  {
    ...reached,
    fault: '5xx',
    how: '500',
    sick: sick(answer('HTTP/1.1 500 Failed')),
    ...goesOnFrom(500),
  },
  {
    ...reached,
    fault: '503, Retry-After',
    how: 'it asks to be left alone for a second',
    sick: sick(answer('HTTP/1.1 503 Busy\r\nRetry-After: 1')),
    ...goesOnFrom(503),
  },
];
