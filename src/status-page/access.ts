import type { IncomingMessage } from 'node:http';
import { types } from 'node:util';
import type { Request } from 'express';

/** Whether this request may have the page: only `true` lets it in. */
export type AccessFunction = (req: Request) => boolean | Promise<boolean>;

/** Answers at once where it can. Never rejects, never throws. */
export type Access = (req: Request) => boolean | Promise<boolean>;

/** A client that is refused could fill the log by being refused again. */
const WARN_EVERY_MS = 60_000;

/** Only `true` lets somebody in. */
export function compileAccess(access: 'loopback' | AccessFunction): Access {
  if (access === 'loopback') return isFromLoopback;
  let warnedAt = Number.NEGATIVE_INFINITY;
  function refuse(why: string): false {
    const now = performance.now();
    if (now - warnedAt > WARN_EVERY_MS) {
      warnedAt = now;
      process.emitWarning(`statusPage: access ${why}: refused`, {
        type: 'TinyProxyWarning',
        code: 'TINY_PROXY_ACCESS',
      });
    }
    return false;
  }
  const judge = (answer: unknown): boolean =>
    typeof answer === 'boolean' ? answer : refuse(`must answer true or false, got ${kind(answer)}`);
  const failed = (thrown: unknown): boolean => refuse(`threw ${describe(thrown)}`);
  return function mayAccess(req) {
    try {
      const answer: unknown = access(req);
      return isThenable(answer) ? Promise.resolve(answer).then(judge, failed) : judge(answer);
    } catch (thrown) {
      return failed(thrown);
    }
  };
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function';
}

/** Not the value itself: it may be a user with all that is known of him. */
const kind = (value: unknown): string => (value === null ? 'null' : typeof value);

function describe(thrown: unknown): string {
  if (!types.isNativeError(thrown)) return kind(thrown);
  try {
    return `${String(thrown.name)}: ${String(thrown.message)}`;
  } catch {
    return 'what cannot be told';
  }
}

const LOOPBACK_PEER = /^(?:::ffff:)?127(?:\.\d{1,3}){3}$|^::1$/i;
const LOOPBACK_HOST = /^(?:(?:[\w-]+\.)*localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;
const OF_PROXIES =
  /^(?:x[-_](?:original[-_])?forwarded(?:[-_].*)?|x[-_](?:real|client)[-_]ip|(?:true[-_]client|cf[-_]connecting)[-_]ip|forwarded|via)$/;

/**
 * From this machine, and for nobody else. The peer alone does not tell: a page whose name was made
 * to point here (DNS rebinding) is read by a browser of this machine, so `Host` must be a loopback
 * one; and a reverse proxy on this machine speaks for the world. Most tell so in a header, nginx up
 * to 1.29.6 by HTTP/1.0; one that does neither cannot be told from a user of this machine.
 */
export function isFromLoopback(req: IncomingMessage): boolean {
  const { socket, headers, httpVersion } = req;
  return (
    LOOPBACK_PEER.test(socket.remoteAddress ?? '') &&
    LOOPBACK_HOST.test(headers.host ?? '') &&
    httpVersion !== '1.0' &&
    !Object.keys(headers).some((name) => OF_PROXIES.test(name))
  );
}
