import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Backend } from '../backends.js';
import { hookError, isNativeError } from '../errors.js';
import type { Hpm } from '../hpm.js';
import type { ResolvedOptions } from '../options.js';
import { createPool } from './agent.js';
import { hostOf, tlsOptions } from './dial.js';
import { HttpFlight } from './http-flight.js';
import { PerBackend } from './per-backend.js';
import type { Attempt, AttemptEvents, Transport } from './transport.js';

/**
 * http-proxy-middleware on node:http. httpxy makes the request from an attempt's stand-ins of `req`
 * and `res`; the hooks get the real ones. What it emits is sorted by {@link sortEvents}.
 */
export function httpTransport(options: ResolvedOptions, hpm: Hpm): Transport {
  const { localAddress, secure } = options;
  const lanes = new PerBackend((backend) => {
    const pool =
      options.agent === undefined ? createPool(backend.url.protocol, backend.limit) : null;
    const agent = options.agent ?? pool?.agent;
    const call = { target: targetOf(backend), agent, secure, localAddress };
    return { call, dropIdle: () => pool?.dropIdle(), close: () => pool?.agent.destroy() };
  });
  const { server } = hpm;
  server.options.prependPath = false; // the path is whole already; a call's own value is not heard
  const report = sortEvents(server);

  function sendNow(attempt: Attempt, events: AttemptEvents): HttpFlight {
    const flight = new HttpFlight(attempt, events, options, server);
    const { backend, method, upgrade } = attempt;
    // httpxy writes into the ssl object that it is given, and would add a length to a DELETE
    // whose method it saw on the request.
    const ssl = tlsOptions(backend, options);
    const call = { ...lanes.of(backend).call, ssl, method, buffer: flight };
    // A tunnel keeps its connection: one of the pool's would be missed there, and may be stale.
    if (upgrade !== undefined && !options.agent) {
      Object.assign(call, { agent: false });
      backend.limit?.makeRoom();
    }
    const standIn = flight as never;
    hpm.web(standIn, standIn, call as never).catch((error: Error) => flight.fail(error));
    return flight;
  }

  return {
    name: 'http',
    send(attempt, events) {
      const { limit } = attempt.backend;
      if (limit === null) return sendNow(attempt, events);
      return limit.send(() => sendNow(attempt, events), events);
    },
    dropIdle: (backend) => lanes.dropIdle(backend),
    forget: (backend) => lanes.forget(backend),
    reportError(error, req, res, backend) {
      const reported = isNativeError(error.cause) ? error.cause : error;
      try {
        report('error', reported, req, res, (backend ?? options.targets[0]!).url);
        return error;
      } catch (thrown) {
        return hookError('on.error', thrown);
      }
    },
    close: () => lanes.close(),
  };
}

/** A plain object: httpxy would look up an IPv6 literal's brackets in the DNS. */
function targetOf({ url, socketPath, address: hostname = hostOf(url) }: Backend): object {
  const { protocol, port, pathname } = url;
  return { protocol, hostname, port, pathname, socketPath };
}

type Emit = (event: string, ...args: unknown[]) => boolean;

/**
 * httpxy's events, told apart: what is about an attempt goes to its flight, and to the listeners of
 * the user with the real `req` and `res`, when the contract says so. Answers the way to emit.
 */
function sortEvents(server: Hpm['server']): Emit {
  const emit = server.emit.bind(server) as Emit;
  // httpxy rejects the promise instead of emitting where nobody listens.
  server.on('error', () => {});
  server.emit = ((event: string, ...args: unknown[]) => {
    const flight = args[event === 'start' || event === 'end' ? 0 : 1];
    if (!(flight instanceof HttpFlight)) return emit(event, ...args);
    const { req, res, upgrade } = flight.attempt;
    if (event === 'proxyReq') flight.onRequest(args[0] as ClientRequest, args[3]);
    else if (event === 'proxyRes') flight.onResponse(args[0] as IncomingMessage);
    else if (event === 'error') flight.fail(args[0] as Error);
    else if (event === 'start' && upgrade === undefined) flight.tell('start', req, res, args[2]);
    else if (event === 'econnreset') flight.tell('econnreset', args[0], req, res, args[3]);
    return true; // 'end' is told when the body has really ended
  }) as typeof server.emit;
  return emit;
}
