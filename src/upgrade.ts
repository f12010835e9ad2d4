import { type IncomingMessage, type Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { badRequest, type ProxyError } from './errors.js';
import type { Upgrade } from './transport/transport.js';

/**
 * How a WebSocket handshake gets into the app.
 *
 * Node hands it to the server's `upgrade` listeners instead of the app, all of them at once. So a
 * listener of ours has to know at once whether the path is its proxy's; one that is runs through
 * the app like any request, with a real response, and the proxy that it reaches finds the socket by
 * {@link upgradeOf}. One that nobody wants is the app's to answer: else its client would hang.
 */
export type UpgradeListener = (req: IncomingMessage, socket: Duplex, head: Buffer) => void;

const upgrades = new WeakMap<IncomingMessage, Upgrade>();
/** Those that some proxy has let into the app. */
const taken = new WeakSet<IncomingMessage>();
/** The listeners that take part in this. */
const ours = new WeakSet<object>();

/** The socket of a WebSocket handshake; undefined for any other request. */
export function upgradeOf(req: IncomingMessage): Upgrade | undefined {
  return req.headers.upgrade === undefined ? undefined : upgrades.get(req);
}

/** RFC 6455 4.1, RFC 9110 7.8. With a body it is none: the body would be taken for frames. */
function isWebSocket({ method, httpVersion, headers }: IncomingMessage): boolean {
  if (method !== 'GET' || httpVersion !== '1.1' || announcesBody(headers)) return false;
  return lists(headers.connection, 'upgrade') && lists(headers.upgrade, 'websocket');
}

/** A WebSocket handshake that Node has handed on as a request: nobody had subscribed yet. */
export function isMissedUpgrade(req: IncomingMessage): boolean {
  return req.headers.upgrade !== undefined && !upgrades.has(req) && isWebSocket(req);
}

/** Whether a comma-separated field has this token. */
function lists(field: string | undefined, token: string): boolean {
  return field?.split(',').some((item) => item.trim().toLowerCase() === token) ?? false;
}

function announcesBody(headers: IncomingMessage['headers']): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0;
}

/** What the listener of one proxy needs of it. */
export interface Upgraded {
  /** Whether the proxy would take the request, by its path. */
  takes(server: Server, req: IncomingMessage): boolean;
  /** Answers a request that cannot go through the app. */
  refuse(error: ProxyError, req: IncomingMessage, res: ServerResponse): void;
}

export function upgradeListener(proxy: Upgraded): UpgradeListener {
  function upgrade(req: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { server } = req.socket as Client;
    if (server === undefined) return void socket.destroy(); // nothing of node:http's
    if (taken.has(req)) return;
    const isOurs = proxy.takes(server, req);
    if (isOurs) taken.add(req);
    const { bytesWritten } = req.socket;
    // When all listeners have been asked: the app changes `req.url`, which they go by.
    process.nextTick(() => {
      if (!isOurs && (taken.has(req) || hasOthers(server))) return;
      taken.add(req);
      // Another listener has taken it all the same.
      const isRead = ['data', 'readable'].some((event) => socket.listenerCount(event) > 0);
      if (isRead || !socket.writable || req.socket.bytesWritten !== bytesWritten) return;
      letIn(proxy, server, req, socket, head);
    });
  }
  ours.add(upgrade);
  return upgrade;
}

/** Others that may take it, at their own time. A single listener that is not ours has called us. */
function hasOthers(server: Server): boolean {
  const listeners = server.listeners('upgrade');
  return listeners.length > 1 && !listeners.every((listener) => ours.has(listener));
}

/** Node's own: its server, and the response whose turn it is. */
type Client = Socket & { server?: Server; _httpMessage?: ServerResponse | null };

/** Runs it through the app, as the last request of its connection. */
function letIn(
  proxy: Upgraded,
  server: Server,
  req: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): void {
  const client = req.socket as Client;
  // Node (26) puts a stream around the socket where it has a body to parse, with errors of its own.
  for (const side of new Set([client, socket])) side.on('error', () => {}); // 'close' tells it
  // With the parser, Node's listeners have gone, those for the answers before this one, too.
  client.on('drain', () => client._httpMessage?.emit('drain'));
  let upgrade: Upgrade | undefined;
  if (socket === client) {
    if (head.length > 0) client.unshift(head);
    upgrade = { head, onTunnel: closeAtEnd(client) };
  }
  inTurn(client, () => {
    const res = new ServerResponse(req);
    res.shouldKeepAlive = false; // nobody parses what comes after it
    res.assignSocket(client);
    res.on('finish', () =>
      client.destroySoon === undefined ? client.end() : client.destroySoon(),
    );
    // Node (26) parses the body.
    const isParsed = upgrade === undefined || req.readableLength > 0;
    if (announcesBody(req.headers) && !isParsed) {
      return proxy.refuse(badRequest('a body behind an Upgrade, which nobody parses'), req, res);
    }
    if (isParsed && /100-continue/i.test(req.headers.expect ?? '')) res.writeContinue();
    if (upgrade !== undefined && isWebSocket(req)) upgrades.set(req, upgrade);
    server.emit('request', req, res);
  });
}

/** Answers to requests before it on the same connection go first. */
function inTurn(client: Client, run: () => void): void {
  if (client._httpMessage) client._httpMessage.once('close', () => inTurn(client, run));
  else if (!client.destroyed) run();
}

/** Until there is a tunnel, a client that ends its side has left. What it has sent stays unread. */
function closeAtEnd(client: Socket): () => void {
  const look = (): void => {
    if (client.readableLength === 0) client.read(); // nothing, or its end
  };
  const leave = (): void => void client.destroy();
  client.on('readable', look).on('end', leave);
  return () => void client.off('readable', look).off('end', leave);
}

const subscribers = new WeakMap<Server, Set<UpgradeListener>>();

function onUpgrade(this: Server, req: IncomingMessage, socket: Duplex, head: Buffer): void {
  for (const upgrade of subscribers.get(this) ?? []) upgrade(req, socket, head);
}
ours.add(onUpgrade);

/** `ws`: one listener on each server that a request has come from, for all proxies there. */
export class Subscription {
  #servers: WeakRef<Server>[] = [];
  readonly #known = new WeakSet<Server>();

  constructor(private readonly upgrade: UpgradeListener) {}

  to({ socket, headers }: IncomingMessage): void {
    const { server } = socket as Client;
    if (server === undefined) return; // a request that was injected
    // An upgrade that comes as a request: the user may have removed our listener.
    if (this.#known.has(server) && headers.upgrade === undefined) return;
    if (!server.listeners('upgrade').includes(onUpgrade)) server.on('upgrade', onUpgrade);
    if (this.#known.has(server)) return;
    this.#known.add(server);
    this.#servers = this.#servers.filter((ref) => ref.deref() !== undefined);
    this.#servers.push(new WeakRef(server));
    subscribers.set(server, (subscribers.get(server) ?? new Set()).add(this.upgrade));
  }

  end(): void {
    for (const ref of this.#servers) {
      const server = ref.deref();
      const present = server && subscribers.get(server);
      present?.delete(this.upgrade);
      if (present?.size === 0) server!.off('upgrade', onUpgrade);
    }
  }
}
