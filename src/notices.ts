import type { AccessLog } from './access-log.js';
import type { Backend, OnBreakerChange, Replaced } from './backends.js';
import type { ProxyEvents } from './events.js';
import { tell } from './tell.js';

/** What changes in the pool is an event, and a line in the log. */
export interface Notices {
  readonly onBreakerChange: OnBreakerChange;
  /** `all`: that are there now. */
  onTargets(replaced: Replaced, all: readonly Backend[]): void;
  onHealth(backend: Backend, reason: string): void;
}

/** Backends of a line, which a resolver may have a thousand of. */
const MOST_NAMED = 20;

export function createNotices(events: ProxyEvents, log: AccessLog | null): Notices {
  return {
    onBreakerChange(backend, change, reason) {
      const { name, label, breaker } = backend;
      const openUntil = backend.openUntil(performance.now());
      const failures = breaker?.failures ?? 0;
      const about = { backend: name, target: label, ...(reason !== null && { reason }) };
      if (change === 'break') tell(events, change, { ...about, failures, openUntil });
      else tell(events, change, about);
      const why = reason ?? `after ${failures} failures in a row`;
      const message = {
        break: `breaker open ${why}, next probe at ${openUntil ?? 'once'}`,
        'half-open': 'breaker half-open, probing',
        reset: `breaker closed${reason === null ? '' : ` ${reason}`}`,
      }[change];
      log?.note({ event: change, backend: name, message });
    },

    onTargets({ added, removed }, all) {
      const urls = { added: labels(added), removed: labels(removed), backends: labels(all) };
      tell(events, 'targets', urls);
      const signed = (sign: string) => (each: Backend) => sign + each.name;
      const changes = [...added.map(signed('+')), ...removed.map(signed('-'))];
      const more = changes.length > MOST_NAMED ? ` and ${changes.length - MOST_NAMED} more` : '';
      const named = changes.slice(0, MOST_NAMED).join(' ') + more;
      const what = changes.length === 0 ? 'other weights' : named;
      const left = all.length === 0 ? 'no backend is left, requests get 503' : count(all.length);
      log?.note({ event: 'targets', message: `${left}: ${what}` });
    },

    onHealth({ name: backend, label: target, healthy }, reason) {
      const event = healthy ? 'healthy' : 'unhealthy';
      tell(events, event, { backend, target, reason });
      const message = healthy ? 'may be tried again' : 'left out as long as another may be tried';
      log?.note({ event, backend, message: reason === '' ? message : `${message}: ${reason}` });
    },
  };
}

const labels = (backends: readonly Backend[]): string[] => backends.map(({ label }) => label);

const count = (backends: number): string => (backends === 1 ? '1 backend' : `${backends} backends`);
