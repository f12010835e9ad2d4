import type { AccessLog } from './access-log.js';
import type { BackendPool } from './backends.js';
import type { ProxyEvents } from './events.js';
import type { Hpm } from './hpm.js';
import type { InFlight } from './in-flight.js';
import type { Notices } from './notices.js';
import type { ResolvedOptions } from './options.js';
import type { KeptBytes } from './replay-body.js';
import type { Retries } from './retry.js';
import type { RetryBudget } from './retry-budget.js';
import type { Rewrite } from './rewrite.js';
import type { Trace } from './tracing.js';
import type { Transport } from './transport/transport.js';

/** What all requests of one proxy share: made at mount. */
export interface Context {
  readonly options: ResolvedOptions;
  readonly pool: BackendPool;
  readonly retries: Retries;
  readonly keptBytes: KeptBytes;
  readonly transport: Transport;
  readonly trace: Trace | null;
  readonly rewrite: Rewrite | null;
  readonly events: ProxyEvents;
  readonly inFlight: InFlight;
  readonly hpm: Hpm;
  readonly budget: RetryBudget | null;
  readonly log: AccessLog | null;
  readonly notices: Notices;
}
