import type { Request } from 'express';
import { badRequest } from './errors.js';

/**
 * The methods and targets that are forwarded, and the path that one backend gets for them. The
 * backend is never read from the request: a path is joined to a configured base, not resolved
 * against it as a URL, so that no form of request line can choose another host.
 */
const ALLOW = 'GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS';

/** RFC 9110 7.2: uri-host [ ":" port ], and nothing beside it. */
const HOST = /^(?:\[[\da-f:.]+\]|[\w.~!$&'()*+,;=%-]*)(?::\d*)?$/i;

/** @throws {ProxyError} 400 or 405 for a request line that must not be forwarded. */
export function checkRequestLine(req: Request): void {
  if (req.httpVersion !== '1.1' && req.httpVersion !== '1.0') {
    throw badRequest(`HTTP/${req.httpVersion} on an HTTP/1 connection`);
  }
  // RFC 9110 9.3.8: a TRACE would send the client's credentials back in a body.
  if (req.method === 'TRACE') throw badRequest('TRACE is not forwarded', 405, { allow: ALLOW });
  const target = req.originalUrl;
  const second = target.charCodeAt(1);
  const rooted = target.charCodeAt(0) === 0x2f && second !== 0x2f && second !== 0x5c;
  if (!rooted && !(target === '*' && req.method === 'OPTIONS')) {
    throw badRequest('the request target must be a path, for example /orders');
  }
  const { host } = req.headers;
  if (host !== undefined && !HOST.test(host)) throw badRequest('an invalid Host');
}

export interface BasePath {
  /** From the configured URL: `/`, `/base` or `/base/`. */
  readonly path: string;
  /** Without its last slash: what the request's path is put behind. */
  readonly stem: string;
  /** `''` or `?key=value`, from the configured URL; goes before the request's own query. */
  readonly search: string;
}

/** The path under a base, as http-proxy-middleware joins them. */
export function joinPath(base: BasePath, path: string): string {
  if (path === '*' && base.stem === '') return path;
  const mark = path.indexOf('?');
  const own = mark === -1 ? path : path.slice(0, mark);
  const query = mark === -1 ? '' : path.slice(mark);
  const rooted = own.charCodeAt(0) === 0x2f ? own : `/${own}`;
  const joined = rooted === '/' && query === '' ? base.path : base.stem + rooted;
  if (base.search === '') return joined + query;
  return joined + base.search + (query === '' ? '' : `&${query.slice(1)}`);
}

/**
 * Dot segments are counted as the most generous of backends would read them: encoded, behind an
 * encoded slash, a backslash or path parameters. Only a plain slash makes a level, as the meanest
 * would have it.
 *
 * @throws {ProxyError} 400 when the path climbs above its start.
 */
export function checkDotSegments(path: string): void {
  if (!/\.\.|%2e/i.test(path)) return;
  const mark = path.indexOf('?');
  let level = 0;
  for (const segment of (mark === -1 ? path : path.slice(0, mark)).split('/')) {
    let first = true;
    for (const part of segment.split(/\\|%2f|%5c/i)) {
      const name = part.replace(/%2e/gi, '.').replace(/(?:;|%3b|#).*$/i, '');
      if (name === '..') level--;
      else if (first && name !== '' && name !== '.') level++;
      first = false;
      if (level < 0) throw badRequest('dot segments that leave the base path');
    }
  }
}

/** @throws {ProxyError} 400 for a path that cannot stand in a request line, or leaves its base. */
export function checkPath(base: BasePath, path: string): void {
  if (!/^[\x21-\xff]+$/.test(path) || (path[0] !== '/' && path !== '*')) {
    throw badRequest('the path to send must begin with / and hold no space or control byte');
  }
  checkDotSegments(path.startsWith(`${base.stem}/`) ? path.slice(base.stem.length) : path);
}
