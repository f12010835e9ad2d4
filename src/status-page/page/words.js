// @ts-check
// How things are said.

/** @typedef {import('../report.js').ReportedBackend} Backend */
/** @typedef {import('../report.js').ReportedProxy} Proxy */

/**
 * @typedef {object} Judgement
 * @property {'good' | 'warn' | 'bad' | 'off'} level
 * @property {string} mark a shape: colour is never the only sign
 * @property {string} label
 */

const integers = new Intl.NumberFormat('en-US');

/** @param {number} value */
export const count = (value) => integers.format(value);

/**
 * @param {number} value
 * @param {string} noun
 */
export const counted = (value, noun) => `${count(value)} ${noun}${value === 1 ? '' : 's'}`;

/** @param {number | null} value milliseconds */
export function duration(value) {
  if (value === null) return '–';
  if (value >= 9950) return `${(value / 1000).toFixed(1)} s`;
  if (value >= 99.5) return `${Math.round(value)} ms`;
  return `${value >= 9.95 ? value.toFixed(0) : value.toFixed(1)} ms`;
}

/** @param {string | number} time */
export function clock(time) {
  return new Date(time).toLocaleTimeString('en-GB', { hour12: false });
}

/** @param {number} value milliseconds: '8 s', '3 min', '2 h' */
export function span(value) {
  const seconds = Math.max(0, Math.round(value / 1000));
  if (seconds < 100) return `${seconds} s`;
  if (seconds < 100 * 60) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

/** @param {number[]} values */
const sum = (values) => values.reduce((total, value) => total + value, 0);

/**
 * Attempts and failures of the last minute.
 * @param {Backend} backend
 * @param {number} bucketMs
 */
export function lastMinute({ history }, bucketMs) {
  const buckets = Math.round(60_000 / bucketMs);
  const attempts = sum(history.attempts.slice(-buckets));
  const failures = sum(history.failures.slice(-buckets));
  return { attempts, failures };
}

/** Below this share of failures a backend is not called failing. */
const SHARE = 0.05;

/**
 * @param {Backend} backend
 * @param {number} bucketMs
 * @returns {Judgement}
 */
export function judge(backend, bucketMs) {
  if (backend.drained) return { level: 'off', mark: '‖', label: 'drained' };
  if (backend.breaker === 'open') return { level: 'bad', mark: '■', label: 'open' };
  if (backend.breaker === 'half-open') return { level: 'warn', mark: '◐', label: 'half-open' };
  if (!backend.healthy) return { level: 'bad', mark: '✚', label: 'unhealthy' };
  const { attempts, failures } = lastMinute(backend, bucketMs);
  const failing = failures > 0 && (backend.failingSince !== null || failures / attempts >= SHARE);
  return failing
    ? { level: 'warn', mark: '▲', label: 'failing' }
    : { level: 'good', mark: '●', label: 'closed' };
}

/**
 * What the proxy does about it, in a few words.
 * @param {Backend} backend
 * @param {number} probeInMs counted down
 */
export function action(backend, probeInMs) {
  if (backend.drained) {
    const by = backend.drainedHere ? 'on this page' : 'in code';
    return `${by}; ${backend.inFlight > 0 ? `${backend.inFlight} still running` : 'nothing runs here'}`;
  }
  if (backend.breaker === 'open') return probeIn(probeInMs);
  if (backend.breaker === 'half-open') {
    return backend.inFlight > 0 ? 'a probe is under way' : 'the next request is its probe';
  }
  if (!backend.healthy) return 'left out while a healthy one may be tried';
  if (backend.consecutiveFailures > 1) return `${backend.consecutiveFailures} failures in a row`;
  return 'takes requests';
}

/** @param {number} ms */
export function probeIn(ms) {
  const seconds = Math.ceil(ms / 1000);
  return seconds > 0 ? `probe in ${seconds} s` : 'probe due';
}
