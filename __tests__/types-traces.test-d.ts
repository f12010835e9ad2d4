// Compiled, never run: the types of express-tiny-proxy/traces, by the name that users import.
import { trace } from '@opentelemetry/api';
import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base';
import { tinyProxy } from 'express-tiny-proxy';
import { type TracesOptions, traceRequests } from 'express-tiny-proxy/traces';

const proxy = tinyProxy({ target: 'http://10.0.0.1:8081' });
const stop: () => void = traceRequests(proxy);
stop();

const options: TracesOptions = { tracerProvider: new BasicTracerProvider() };
traceRequests(proxy, options);
traceRequests(proxy, { tracerProvider: trace.getTracerProvider() });

// @ts-expect-error: a provider, not what it makes
traceRequests(proxy, { tracerProvider: trace.getTracer('mine') });
// @ts-expect-error: misspelt
traceRequests(proxy, { provider: trace.getTracerProvider() });
// @ts-expect-error: a Router is no proxy
traceRequests((await import('express')).Router());
