// @ts-check
/** How a proxy process stands when its traffic is over: to be compared with how it stood before. */
import { setTimeout as sleep } from 'node:timers/promises';
import { inMb } from './units.js';

const SETTLE_LIMIT_MS = 15_000;

/**
 * Waits until no connection is open any more (pooled ones close after some seconds), or until it is
 * clear that some stay, and reads the proxy's figures.
 * @param {import('./processes.js').Peer} proxy
 */
export async function settle(proxy) {
  const until = performance.now() + SETTLE_LIMIT_MS;
  let resources = await proxy.ask('resources');
  while ((resources.TCPSocketWrap ?? 0) > 0 && performance.now() < until) {
    await sleep(250);
    resources = await proxy.ask('resources');
  }
  return {
    resources: JSON.stringify(Object.fromEntries(Object.entries(resources).sort())),
    listeners: await proxy.ask('listeners'),
    heap: await proxy.ask('heapAfterGc'),
  };
}

/** @param {{ resources: string, listeners: number, heap: number }} figures */
export function describe({ resources, listeners, heap }) {
  return `heap ${inMb(heap, 2)}, ${listeners} listeners, ${resources}`;
}
