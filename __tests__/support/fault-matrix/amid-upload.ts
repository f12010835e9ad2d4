// The backend has got half of the request's body. A PUT's is kept up to 256 KB, a longer one not.
import {
  afterBytes,
  answer,
  close,
  hang,
  type Play,
  plays,
  reset,
  write,
} from '../sick-backend.js';
import { type FaultRow, fails, goesOn, goesOnFrom, SHORT_MS } from './row.js';

const KEPT = 100_000;
const LONG = 1_000_000;
const reached = { phase: 'amid the upload', reached: 'part', connections: 1 } as const;
const kept = { ...reached, bodyBytes: KEPT } as const;
const long = { ...reached, bodyBytes: LONG } as const;
const sick = (...steps: Play[]) => ({ play: plays(afterBytes(KEPT / 2), ...steps) });
const afterMuch = (...steps: Play[]) => ({ play: plays(afterBytes(LONG / 2), ...steps) });

/** Without the GET, which has no body. */
const uploads = ({ PUT, POST }: Pick<FaultRow, 'PUT' | 'POST'>) => ({ PUT, POST });

export const AMID_UPLOAD: FaultRow[] = [
  {
    ...kept,
    fault: 'reset',
    how: 'of 100 KB',
    sick: sick(reset),
    ...uploads(goesOn('ECONNRESET')),
  },
  {
    ...kept,
    fault: 'closed',
    how: 'of 100 KB',
    sick: sick(close),
    ...uploads(goesOn('ECONNRESET')),
  },
  {
    ...kept,
    fault: 'garbage',
    how: 'of 100 KB: bytes of another protocol',
    sick: sick(write('SSH-2.0-OpenSSH_9.2\r\n')),
    ...uploads(goesOn('INVALID_RESPONSE|HPE_INVALID_CONSTANT')),
  },
  {
    ...kept,
    fault: '5xx',
    how: 'of 100 KB: 500 before its end',
    sick: sick(answer('HTTP/1.1 500 Failed\r\nConnection: close')),
    ...uploads(goesOnFrom(500)),
  },
  {
    ...kept,
    fault: '503, Retry-After',
    how: 'of 100 KB: 503 before its end',
    sick: sick(answer('HTTP/1.1 503 Busy\r\nConnection: close\r\nRetry-After: 1')),
    ...uploads(goesOnFrom(503)),
  },
  {
    ...long,
    fault: 'reset',
    how: 'of 1 MB, which are not kept',
    sick: afterMuch(reset),
    PUT: fails('ECONNRESET', 'body'),
    POST: fails('ECONNRESET'),
  },
  {
    ...long,
    fault: 'closed',
    how: 'of 1 MB, which are not kept',
    sick: afterMuch(close),
    PUT: fails('ECONNRESET', 'body'),
    POST: fails('ECONNRESET'),
  },
  {
    ...long,
    fault: 'hang',
    how: 'of 1 MB, which are not kept: it reads no more',
    sick: afterMuch(hang),
    options: { attemptTimeout: SHORT_MS * 2 },
    PUT: fails('ETIMEDOUT', 'body'),
    POST: fails('ETIMEDOUT'),
  },
];
