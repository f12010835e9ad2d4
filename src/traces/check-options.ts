import { inspect } from 'node:util';
import type { TinyProxy } from '../index.js';
import type { TracesOptions } from './trace-requests.js';

/** @throws {TypeError} that names what is wrong, its value and a right one. */
export function checkTracesOptions(proxy: TinyProxy, options: TracesOptions): void {
  if (typeof proxy?.status !== 'function' || typeof proxy.events?.on !== 'function')
    throw wrong('the first argument', 'a proxy that tinyProxy() has made', proxy);
  if (typeof options !== 'object' || options === null)
    throw wrong('the second argument', 'an object such as { tracerProvider }', options);
  for (const [name, value] of Object.entries(options)) {
    if (name !== 'tracerProvider') {
      throw new TypeError(
        `traceRequests: unknown option "${name}" (${show(value)}); try "tracerProvider"`,
      );
    }
  }
  const { tracerProvider } = options;
  if (tracerProvider === undefined || typeof tracerProvider?.getTracer === 'function') return;
  const expected = 'a TracerProvider, for example a NodeTracerProvider of the OpenTelemetry SDK';
  throw wrong('option "tracerProvider"', expected, tracerProvider);
}

function wrong(what: string, expected: string, value: unknown): TypeError {
  return new TypeError(`traceRequests: ${what} must be ${expected}; got ${show(value)}`);
}

function show(value: unknown): string {
  return inspect(value, { depth: 0, breakLength: Number.POSITIVE_INFINITY }).slice(0, 120);
}
