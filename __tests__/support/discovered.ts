// A proxy whose backends a source says, looked for when the test says so.

import {
  type Discovery,
  type DiscoveryOptions,
  discover,
  type Source,
} from '../../src/discovery/index.js';
import type { TinyProxyOptions } from '../../src/index.js';
import { closeAfterTest } from './cleanup.js';
import { type RunningProxy, startProxyWith } from './proxy.js';

export interface Discovered extends RunningProxy {
  discovery: Discovery;
  /** The `url`s of `status()`. */
  urls(): string[];
  /** What `onError` and `onRecovery` have been told. */
  told: string[];
}

/** Where nobody is, before the first look. */
export const NOBODY = 'http://127.0.0.1:1';

/** Starts one, and waits for the first look. */
export async function startDiscovered(
  source: Source,
  options: DiscoveryOptions = {},
  proxyOptions: Partial<TinyProxyOptions> = {},
): Promise<Discovered> {
  const running = await startProxyWith({ target: NOBODY, ...proxyOptions });
  const told: string[] = [];
  const discovery = discover(running.proxy, source, {
    refresh: 60_000,
    onError: ({ message }) => told.push(message),
    onRecovery: () => told.push('recovered'),
    ...options,
  });
  closeAfterTest(() => discovery.close());
  await discovery.refresh();
  const urls = (): string[] => running.proxy.status().backends.map(({ url }) => url);
  return { ...running, discovery, told, urls };
}
