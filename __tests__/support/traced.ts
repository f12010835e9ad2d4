// The OpenTelemetry SDK, registered as an app would, and the spans that it has made.
import { afterAll, afterEach, beforeAll, expect } from '@jest/globals';
import { context, propagation, type SpanKind, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  CompositePropagator,
  W3CBaggagePropagator,
  W3CTraceContextPropagator,
} from '@opentelemetry/core';
import {
  AlwaysOnSampler,
  BasicTracerProvider,
  InMemorySpanExporter,
  ParentBasedSampler,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import type { TinyProxyOptions } from '../../src/index.js';
import { traceRequests } from '../../src/traces/index.js';
import { type RunningProxy, startProxyWith } from './proxy.js';
import { until } from './wait.js';

const exporter = new InMemorySpanExporter();
const sampler = new ParentBasedSampler({ root: new AlwaysOnSampler() });

/** Makes spans whose ends can be seen in `spans()`. */
export const provider = new BasicTracerProvider({
  sampler,
  spanProcessors: [new SimpleSpanProcessor(exporter)],
});

/** Registers it with `@opentelemetry/api`, for the tests of this file, or of this `describe`. */
export function registerSdk(): void {
  // Not while the tests are collected: another `describe` of the file may come first, and take it away.
  beforeAll(() => {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    propagation.setGlobalPropagator(
      new CompositePropagator({
        propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator()],
      }),
    );
    trace.setGlobalTracerProvider(provider);
  });
  afterAll(() => {
    for (const api of [context, propagation, trace]) api.disable();
  });
}

afterEach(() => exporter.reset());

/** A good end is left unset, as the conventions have it. */
export const [OK, ERROR] = [0, 2];

/** A span that has ended, in short. */
export interface EndedSpan {
  name: string;
  kind: SpanKind;
  attributes: ReadableSpan['attributes'];
  /** `OK` or `ERROR`. */
  status: number;
  traceId: string;
  spanId: string;
  /** Of its parent. */
  parentId: string | undefined;
  /** `00-<traceId>-<spanId>-01` */
  traceparent: string;
}

/** All that have ended in this test, in that order; waits until there are so many. */
export async function spans(count: number): Promise<EndedSpan[]> {
  await until(() => exporter.getFinishedSpans().length >= count, `${count} spans`);
  return exporter.getFinishedSpans().map((span) => {
    const { traceId, spanId, traceFlags } = span.spanContext();
    return {
      name: span.name,
      kind: span.kind,
      attributes: span.attributes,
      status: span.status.code,
      traceId,
      spanId,
      parentId: span.parentSpanContext?.spanId,
      traceparent: `00-${traceId}-${spanId}-0${traceFlags}`,
    };
  });
}

/** The span of the request ends last. */
export async function ended(
  attempts: number,
): Promise<{ request: EndedSpan; attempts: EndedSpan[] }> {
  const all = await spans(attempts + 1);
  expect(all).toHaveLength(attempts + 1);
  return { request: all.at(-1)!, attempts: all.slice(0, -1) };
}

/** A proxy whose requests are traced. Its retries do not wait. */
export interface TracedProxy extends RunningProxy {
  stop(): void;
}

/** Starts one. */
export async function startTraced(
  options: TinyProxyOptions,
  mountOptions: Parameters<typeof startProxyWith>[1] = {},
): Promise<TracedProxy> {
  const retry = { backoff: { initialDelay: 1, maxDelay: 1 } };
  const running = await startProxyWith({ retry, ...options }, mountOptions);
  running.server.on('upgrade', running.proxy.upgrade);
  return { ...running, stop: traceRequests(running.proxy) };
}
