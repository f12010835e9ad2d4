export { accessLog } from './access-log.js';
export type { BackendStatus, Latency } from './backends.js';
export type { BreakerState } from './breaker.js';
export { ProxyError, type ProxyErrorCode, type ProxyErrorInit } from './errors.js';
export type {
  AboutRequest,
  AttemptEvent,
  AttemptStartEvent,
  BreakEvent,
  BreakerEvent,
  CloseEvent,
  DoneEvent,
  FailureEvent,
  GiveUpEvent,
  HealthEvent,
  HopEvent,
  RequestEvent,
  RetryEvent,
  TargetsEvent,
  TinyProxyEvents,
} from './events.js';
export type { Hop, NoRetryReason } from './exchange.js';
export type { HeaderMap } from './headers.js';
export type {
  BackoffOptions,
  BalanceFunction,
  BreakerOptions,
  BudgetOptions,
  Candidate,
  LogFormat,
  LogOptions,
  LogStream,
  Outgoing,
  OutgoingResponse,
  RetryOptions,
  Target,
  TinyProxyOptions,
  TlsOptions,
  TraceOptions,
  WeightedTarget,
} from './options.js';
export type { CookieRewrite } from './rewrite.js';
export { type BudgetStatus, type ProxyStatus, type TinyProxy, tinyProxy } from './tiny-proxy.js';
export { requestId } from './tracing.js';
