// The ways in which proxy, nginx and HAProxy can stand together. Every one has two applications on
// plain Node at its end, and all of them have to look alike to client and application.
import type { ProxyStatus, TinyProxyOptions } from '../../../src/index.js';
import {
  type Backend,
  type Handler,
  hang,
  type ReceivedRequest,
  startBackends,
} from '../../support/backend.js';
import { type RunningProxy, startProxyWith } from '../../support/proxy.js';
import { type Gateway, type Kind, PEER_PORT, startGateway } from './gateway.js';

/** What the proxy has as a backend. */
export interface Killable {
  kill(): Promise<void>;
  restart(): Promise<void>;
}

/** An arrangement that runs. */
export interface Chain {
  /** Where the client calls. */
  url: string;
  /** Our proxy's own address, and its log as JSON. */
  running: RunningProxy;
  /** In the order of the proxy's backends. */
  applications: Backend[];
  /** The proxy's backends. */
  backends: Killable[];
  /** nginx or HAProxy; in front there is one, behind there is one to each application. */
  gateways: Gateway[];
  /** From now on, every application answers so. */
  answerWith(handler: Handler): void;
  /** What the applications have received. */
  received(): ReceivedRequest[];
  /** How many connections have carried requests from the proxy to its backends. */
  connectionsOfProxy(): number;
  status(): ProxyStatus;
}

/** A way to stand. */
export interface Arrangement {
  name: string;
  kind?: Kind;
  /** Whether nginx or HAProxy is what the client meets. */
  inFront: boolean;
  start(options?: Partial<TinyProxyOptions>): Promise<Chain>;
}

async function direct(options: Partial<TinyProxyOptions> = {}): Promise<Chain> {
  const applications = await startBackends(hang(), hang());
  const running = await startProxyWith(
    { target: applications.map(({ url }) => url), ...options },
    { captureLog: 'json' },
  );
  return chain({ url: running.url, running, applications, backends: applications.map(killable) });
}

async function behindProxy(kind: Kind, options: Partial<TinyProxyOptions> = {}): Promise<Chain> {
  const applications = await startBackends(hang(), hang());
  const gateways = await Promise.all(
    applications.map(({ port }) => startGateway(kind, { upstream: port })),
  );
  const running = await startProxyWith(
    { target: gateways.map(({ url }) => url), ...options },
    { captureLog: 'json' },
  );
  return chain({ url: running.url, running, applications, backends: gateways, gateways });
}

async function inFrontOfProxy(kind: Kind, options: Partial<TinyProxyOptions> = {}): Promise<Chain> {
  const applications = await startBackends(hang(), hang());
  const running = await startProxyWith(
    { target: applications.map(({ url }) => url), ...options },
    { captureLog: 'json', trustProxy: 'loopback' },
  );
  const gateway = await startGateway(kind, { upstream: running.port, first: true });
  const backends = applications.map(killable);
  return chain({ url: gateway.url, running, applications, backends, gateways: [gateway] });
}

/** node:http with its sockets is as good as killed when it is stopped. */
function killable(backend: Backend): Killable {
  return { kill: () => backend.stop(), restart: () => backend.restart() };
}

type Parts = Pick<Chain, 'url' | 'running' | 'applications' | 'backends'> & {
  gateways?: Gateway[];
};

function chain({ gateways = [], ...parts }: Parts): Chain {
  const { applications, running } = parts;
  const received = (): ReceivedRequest[] => applications.flatMap((one) => one.received);
  return {
    ...parts,
    gateways,
    received,
    answerWith(handler) {
      for (const application of applications) application.answerWith(handler);
    },
    connectionsOfProxy() {
      const counts = applications.map(({ received: its }) => {
        const peers = its.map(({ headers, connection }) => headers[PEER_PORT] ?? connection);
        return new Set(peers).size;
      });
      return counts.reduce((sum, count) => sum + count, 0);
    },
    status: () => running.proxy.status(),
  };
}

/** All of them; plain Node is there for comparison. */
export const arrangements: Arrangement[] = [
  { name: 'plain Node behind the proxy', inFront: false, start: direct },
  ...(['nginx', 'haproxy'] as const).flatMap((kind): Arrangement[] => [
    {
      name: `${kind} behind the proxy`,
      kind,
      inFront: false,
      start: (options) => behindProxy(kind, options),
    },
    {
      name: `${kind} in front of the proxy`,
      kind,
      inFront: true,
      start: (options) => inFrontOfProxy(kind, options),
    },
  ]),
];
