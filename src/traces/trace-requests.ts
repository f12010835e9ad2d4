import type { EventEmitter } from 'node:events';
import {
  type Attributes,
  type Context,
  context,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  type TracerProvider,
  trace,
} from '@opentelemetry/api';
import type { Request } from 'express';
import type { TinyProxy, TinyProxyEvents } from '../index.js';
import {
  attemptAttributes,
  compileMethodNames,
  hopError,
  requestAttributes,
  requestError,
  serverAttributes,
  urlFull,
} from './attributes.js';
import { checkTracesOptions } from './check-options.js';

/** What `traceRequests(proxy, options)` takes. */
export interface TracesOptions {
  /** Makes the spans. Default: the one that is registered with `@opentelemetry/api`, also later. */
  tracerProvider?: TracerProvider;
}

/** A request that is not over. */
interface OpenRequest {
  readonly span: Span;
  /** Its span is the active one here. */
  readonly context: Context;
  /** The attempt under way. */
  attempt: { span: Span; url: string } | null;
  /** What the attempt before has come to. */
  last: number | string | null;
}

/**
 * Makes a span of each request, and of each of its attempts a child, whose `traceparent` goes to the
 * backend. Answers the function that ends it; spans that are open then are ended, too.
 *
 * @throws {TypeError} that names a wrong option, its value and a right one.
 */
export function traceRequests(proxy: TinyProxy, options: TracesOptions = {}): () => void {
  checkTracesOptions(proxy, options);
  const { tracerProvider = trace } = options;
  const open = new Map<Request, OpenRequest>();
  const listeners = tracingListeners(tracerProvider.getTracer('express-tiny-proxy'), open);
  const events = proxy.events as EventEmitter;
  for (const [event, listener] of Object.entries(listeners)) events.on(event, listener);
  return function stopTracing() {
    for (const [event, listener] of Object.entries(listeners)) events.off(event, listener);
    for (const request of open.values()) end(request);
    open.clear();
  };
}

type Traced = Pick<TinyProxyEvents, 'request' | 'attempt' | 'hop' | 'done'>;
type Listeners = { [E in keyof Traced]: (told: Traced[E][0]) => void };

function tracingListeners(tracer: Tracer, open: Map<Request, OpenRequest>): Listeners {
  const methodNames = compileMethodNames(process.env.OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS);
  return {
    request({ requestId, req }) {
      const before = open.get(req); // an error handler has given it to the proxy once more
      if (before !== undefined) end(before);
      const active = context.active();
      const isChild = trace.getSpan(active) !== undefined;
      const parent = isChild ? active : propagation.extract(active, req.headers);
      const { spanName, attributes } = methodNames(req.method);
      Object.assign(attributes, requestAttributes(requestId, req));
      if (!isChild) Object.assign(attributes, serverAttributes(req));
      const span = isChild
        ? tracer.startSpan(`proxy ${spanName}`, { attributes }, parent)
        : tracer.startSpan(spanName, { kind: SpanKind.SERVER, attributes }, parent);
      open.set(req, { span, context: trace.setSpan(parent, span), attempt: null, last: null });
    },

    attempt(told) {
      const request = open.get(told.req);
      if (request === undefined) return; // it began before we listened
      const { spanName, attributes } = methodNames(told.req.method);
      Object.assign(attributes, attemptAttributes(told));
      const spanOptions = { kind: SpanKind.CLIENT, attributes };
      const span = tracer.startSpan(spanName, spanOptions, request.context);
      request.attempt = { span, url: told.url };
      inject(trace.setSpan(request.context, span), told.headers);
    },

    hop(told) {
      const request = open.get(told.req);
      if (request?.attempt == null) return;
      const { span, url } = request.attempt;
      request.attempt = null;
      request.last = told.outcome;
      if (told.url !== url) span.setAttribute('url.full', urlFull(told.url));
      endWith(span, told.status, hopError(told));
    },

    done(told) {
      const request = open.get(told.req);
      if (request === undefined) return;
      open.delete(told.req);
      const { attempt: attempts, noRetry, status } = told;
      const attributes: Attributes = { 'tiny_proxy.attempts': attempts };
      if (noRetry !== null) attributes['tiny_proxy.no_retry'] = noRetry;
      request.span.setAttributes(attributes);
      endWith(request.span, status, requestError(told, request.last));
    },
  };
}

/** The client's fields go where ours come: its `tracestate` belongs to its `traceparent`. */
function inject(active: Context, headers: TinyProxyEvents['attempt'][0]['headers']): void {
  const carrier: Record<string, string> = {};
  propagation.inject(active, carrier);
  // Without a propagator, or a trace, they go on as they came.
  if (Object.keys(carrier).length === 0) return;
  for (const field of propagation.fields()) delete headers[field];
  Object.assign(headers, carrier);
}

function endWith(span: Span, status: number | null, error: string | null): void {
  if (status !== null) span.setAttribute('http.response.status_code', status);
  if (error !== null) {
    span.setAttribute('error.type', error);
    span.setStatus({ code: SpanStatusCode.ERROR });
  }
  span.end();
}

/** What has come of it will not be known. */
function end({ span, attempt }: OpenRequest): void {
  attempt?.span.end();
  span.end();
}
