import { type ClientRequest, Agent as HttpAgent, type IncomingHttpHeaders } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Socket } from 'node:net';
import type { ConnectionLimit, IdleConnections } from './connection-limit.js';

/**
 * One pool of kept-alive connections per backend: Node's agent, with care for idle sockets.
 *
 * A byte that comes on an idle socket answers no request; on the socket's next use it would be
 * taken for that one's response (CVE-2026-105481). Such a socket is destroyed, and before one is
 * used again the event loop turns, so that a byte which has arrived is seen.
 */
export interface IdlePool extends IdleConnections {
  readonly agent: HttpAgent;
  /** Closes the idle connections; those in use go on. */
  dropIdle(): void;
}

/** Node's servers close an idle connection after 5 s and other ones seldom say. */
const DEFAULT_IDLE_MS = 4000;
/** We close first, by this much, so that a request does not meet the server's closing. */
const MARGIN_MS = 1000;

/** Not in Node's types, but the seam that agents are extended by. */
interface Agent extends HttpAgent {
  addRequest(req: ClientRequest, options: object): void;
  reuseSocket(socket: Socket, req: ClientRequest): void;
}

type PooledSocket = Socket & { _httpMessage?: { res?: { headers: IncomingHttpHeaders } } };

export function createPool(protocol: string, limit: ConnectionLimit | null): IdlePool {
  const options = { keepAlive: true, maxFreeSockets: 256 };
  const agent = (protocol === 'https:' ? new HttpsAgent(options) : new HttpAgent(options)) as Agent;
  const idle = new Set<Socket>();
  const watched = new WeakSet<Socket>();
  const reuseSocket = agent.reuseSocket.bind(agent);

  /** Its time is up, or it has a byte that answers no request. */
  function destroyIdle(this: Socket): void {
    if (idle.has(this)) this.destroy();
  }
  function forget(this: Socket): void {
    idle.delete(this);
  }

  waitTurns(agent, idle);
  agent.keepSocketAlive = function keepSocketAlive(kept) {
    const socket = kept as PooledSocket;
    const idleMs = idleTimeoutMs(socket._httpMessage?.res?.headers['keep-alive']);
    if (idleMs <= 0) return false;
    if (!watched.has(socket)) {
      watched.add(socket);
      socket.setKeepAlive(true, 1000);
      socket.on('timeout', destroyIdle).on('data', destroyIdle).on('close', forget);
    }
    socket.unref();
    socket.setTimeout(idleMs);
    idle.add(socket);
    return true;
  };

  agent.reuseSocket = function reuse(socket, req) {
    idle.delete(socket);
    reuseSocket(socket, req);
  };

  const pool: IdlePool = {
    agent,
    get idleCount() {
      return idle.size;
    },
    closeOldest() {
      for (const socket of idle) {
        idle.delete(socket);
        return void socket.destroy();
      }
    },
    dropIdle() {
      for (const socket of idle) socket.destroy();
    },
  };
  if (limit !== null) keepWithin(limit, pool);
  return pool;
}

/** A socket that is idle is used again two turns of the event loop later. */
function waitTurns(agent: Agent, idle: ReadonlySet<Socket>): void {
  const addRequest = agent.addRequest.bind(agent);
  agent.addRequest = function addRequestAfterTurns(req, requestOptions) {
    if (idle.size === 0) return addRequest(req, requestOptions);
    const add = (): void => {
      if (!req.destroyed) addRequest(req, requestOptions);
    };
    // Two: the first still belongs to the turn whose events were collected before now.
    setImmediate(setImmediate, add);
  };
}

function keepWithin(limit: ConnectionLimit, pool: IdlePool): void {
  const { agent } = pool;
  limit.pools.push(pool);
  const createConnection = agent.createConnection.bind(agent);
  agent.createConnection = (...args) => {
    limit.makeRoom();
    return createConnection(...args);
  };
}

function idleTimeoutMs(keepAlive: string | string[] | undefined): number {
  if (keepAlive === undefined) return DEFAULT_IDLE_MS;
  const seconds = /(?:^|,)\s*timeout=(\d+)/i.exec(String(keepAlive))?.[1];
  if (seconds === undefined) return DEFAULT_IDLE_MS;
  return Math.min(Number(seconds) * 1000 - MARGIN_MS, 2 ** 31 - 1); // no timer is longer
}
