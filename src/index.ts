export { accessLog } from './access-log.js';
export type { BackendStatus } from './backends.js';
export type { BreakerState } from './breaker.js';
export { ProxyError, type ProxyErrorCode, type ProxyErrorInit } from './errors.js';
export type { TinyProxyEvents } from './events.js';
export type { Hop, NoRetryReason } from './exchange.js';
export type {
  BalanceFunction,
  BreakerOptions,
  Candidate,
  LogFormat,
  LogOptions,
  LogStream,
  Outgoing,
  OutgoingResponse,
  RetryOptions,
  Target,
  TinyProxyOptions,
  TraceOptions,
  WeightedTarget,
} from './options.js';
export type { CookieRewrite } from './rewrite.js';
export { type ProxyStatus, type TinyProxy, tinyProxy } from './tiny-proxy.js';
export { requestId } from './tracing.js';
