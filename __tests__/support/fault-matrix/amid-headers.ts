// Part of a response's head has come.
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
import { type FaultRow, goesOn, SHORT_MS } from './row.js';

const reached = { phase: 'amid the headers', reached: 'all', connections: 1 } as const;
const half = write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-A:');
const sick = (...steps: Play[]) => ({ play: plays(afterRequest, half, ...steps) });
const how = 'behind half a head';

export const AMID_HEADERS: FaultRow[] = [
  { ...reached, fault: 'reset', how, sick: sick(reset), ...goesOn('ECONNRESET') },
  {
    ...reached,
    fault: 'closed',
    how,
    sick: sick(close),
    ...goesOn('ECONNRESET'),
  },
  {
    ...reached,
    fault: 'hang',
    how,
    sick: sick(hang),
    options: { attemptTimeout: SHORT_MS },
    ...goesOn('ETIMEDOUT'),
  },
  {
    ...reached,
    fault: 'garbage',
    how: 'a control byte in a field',
    sick: sick(write(' a\x00b\r\n\r\nsick')),
    ...goesOn('INVALID_RESPONSE|HPE_INVALID_HEADER_TOKEN'),
  },
  {
    ...reached,
    fault: 'garbage',
    how: 'both framing headers',
    sick: sick(write('\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsick\r\n0\r\n\r\n')),
    ...goesOn('INVALID_RESPONSE|HPE_INVALID_TRANSFER_ENCODING|HPE_UNEXPECTED_CONTENT_LENGTH'),
  },
  {
    ...reached,
    fault: 'slow drip',
    how: 'a field that never ends',
    sick: sick(drip('a')),
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
];
