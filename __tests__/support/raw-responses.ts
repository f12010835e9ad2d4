// Raw responses and what has to come of them: see the rows in raw-responses/.
import { CONNECTIONS } from './raw-responses/connections.js';
import { FRAMING } from './raw-responses/framing.js';
import { HEADS } from './raw-responses/heads.js';
import type { RawResponseGroup } from './raw-responses/row.js';
import { STATUS_LINES } from './raw-responses/status-lines.js';

export type { Outcome, Passed, RawResponseRow } from './raw-responses/row.js';

export const RAW_RESPONSES: RawResponseGroup[] = [
  ...STATUS_LINES,
  ...FRAMING,
  ...HEADS,
  ...CONNECTIONS,
];
