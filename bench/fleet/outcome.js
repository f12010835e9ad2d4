// @ts-check
/** What a simulation counts. */

/**
 * @typedef {object} Outcome
 * @property {number} requests
 * @property {number} attempts
 * @property {number} retries
 * @property {number} refusedRetries for want of a place in the budget
 * @property {number} answered requests that had a good response
 * @property {number} failedRequests
 * @property {number} failedAttempts
 * @property {number} sickAttempts that went to a sick backend
 * @property {number} trips
 * @property {number | null} safeAfterMs when no replica sent to the first sick one any more; null: never
 * @property {number} failedUntilSafe failed attempts until then, or in all
 * @property {number} sickLoad attempts at the sick ones, as a share of what they would get if well
 */

/** @returns {Outcome} */
export function nothingYet() {
  return {
    requests: 0,
    attempts: 0,
    retries: 0,
    refusedRetries: 0,
    answered: 0,
    failedRequests: 0,
    failedAttempts: 0,
    sickAttempts: 0,
    trips: 0,
    safeAfterMs: null,
    failedUntilSafe: 0,
    sickLoad: 0,
  };
}
