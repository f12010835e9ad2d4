import type { TinyProxyOptions } from './options.js';

/** Options that only node:http can honour; with one of these, `transport: 'auto'` takes it. */
const OPTIONS = ['agent', 'localAddress', 'logger', 'plugins'] as const;

/** Of `on`: hooks that get node:http's own objects, or tell what only http-proxy-middleware does. */
const HOOKS = ['start', 'proxyReq', 'proxyRes', 'end', 'econnreset'] as const;

/** Why these options need node:http: `'option "agent"'`, say. Null where they do not. */
export function needsHttp(options: Omit<TinyProxyOptions, 'target'>): string | null {
  const { plugins = [], on = {} } = options;
  const given = { ...options, plugins: plugins.length > 0 ? plugins : undefined };
  const option = OPTIONS.find((name) => given[name] !== undefined);
  if (option !== undefined) return `option "${option}"`;
  const hook = HOOKS.find((name) => on[name] !== undefined);
  return hook === undefined ? null : `option "on.${hook}"`;
}
