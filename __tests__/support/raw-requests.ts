// Raw requests and what has to come of them: see the rows in raw-requests/.
import { CHUNKS } from './raw-requests/chunks.js';
import { CONNECTIONS } from './raw-requests/connections.js';
import { FRAMING } from './raw-requests/framing.js';
import { HEADS } from './raw-requests/heads.js';
import { METHODS } from './raw-requests/methods.js';
import type { RawRequestGroup } from './raw-requests/row.js';
import { TARGETS } from './raw-requests/targets.js';

export type { RawRequestRow, Reached } from './raw-requests/row.js';

export const RAW_REQUESTS: RawRequestGroup[] = [
  ...FRAMING,
  ...CHUNKS,
  ...TARGETS,
  ...HEADS,
  ...METHODS,
  ...CONNECTIONS,
];
