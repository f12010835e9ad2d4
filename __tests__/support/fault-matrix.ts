// What goes wrong, when, and what has to come of it: see the rows in fault-matrix/.
import { AMID_BODY } from './fault-matrix/amid-body.js';
import { AMID_HEADERS } from './fault-matrix/amid-headers.js';
import { AMID_UPLOAD } from './fault-matrix/amid-upload.js';
import { BEFORE_CONNECTION } from './fault-matrix/before-connection.js';
import { BEFORE_HEADERS } from './fault-matrix/before-headers.js';
import { IDLE } from './fault-matrix/idle.js';
import type { FaultRow } from './fault-matrix/row.js';

export { type Ending, type FaultRow, METHODS } from './fault-matrix/row.js';

export const FAULT_MATRIX: FaultRow[] = [
  ...BEFORE_CONNECTION,
  ...BEFORE_HEADERS,
  ...AMID_UPLOAD,
  ...AMID_HEADERS,
  ...AMID_BODY,
  ...IDLE,
];
