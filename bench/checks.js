// @ts-check
/** What the runs assert: each check prints its verdict, and one that fails ends the run with 1. */

/**
 * @param {boolean} condition
 * @param {string} what
 */
export function check(condition, what) {
  console.log(`${condition ? 'ok    ' : 'FAILED'} ${what}`);
  if (!condition) process.exit(1);
}

/**
 * The proxy process has seen no warning, no unhandled rejection and no uncaught exception.
 * @param {import('./processes.js').Peer} proxy
 * @param {string} [name]
 */
export async function checkNoTroubles(proxy, name = 'the proxy process') {
  const troubles = await proxy.ask('troubles');
  for (const trouble of troubles.slice(0, 5)) console.log(trouble);
  check(troubles.length === 0, `${name}: no warning, no unhandled rejection`);
}
