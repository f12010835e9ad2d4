// @ts-check
/** The proxy's limits in the demo: short ones, so that each is seen at work within two minutes. */

export const ATTEMPT_TIMEOUT_MS = 3000;
export const COOLDOWN_MS = 10_000;
/** Failures in a row that open a breaker: the default. */
export const FAILURES = 5;
