import type { HeaderMap } from './headers.js';

/**
 * http-proxy-middleware's rewriting of what a response says about where it came from, for every
 * transport the same: `Location` (autoRewrite, hostRewrite, protocolRewrite) and the `Domain` and
 * `Path` of `Set-Cookie`.
 */
export interface RewriteOptions {
  autoRewrite?: boolean | undefined;
  hostRewrite?: string | undefined;
  protocolRewrite?: string | undefined;
  cookieDomainRewrite?: CookieRewrite | undefined;
  cookiePathRewrite?: CookieRewrite | undefined;
}

/** The new value for all, or by old value (`'*'` for the rest); `''` takes the attribute away. */
export type CookieRewrite = false | string | Record<string, string>;

export type Rewrite = (
  status: number,
  headers: HeaderMap,
  backend: URL,
  clientHost: string | undefined,
) => void;

const REDIRECTS = new Set([201, 301, 302, 303, 307, 308]);

/** Answers null when there is nothing to rewrite. */
export function compileRewrite(options: RewriteOptions): Rewrite | null {
  const domain = compileCookie('domain', options.cookieDomainRewrite);
  const path = compileCookie('path', options.cookiePathRewrite);
  const redirects = options.autoRewrite || options.hostRewrite || options.protocolRewrite;
  if (!domain && !path && !redirects) return null;

  return function rewriteResponse(status, headers, backend, clientHost) {
    const cookies = headers['set-cookie'];
    if (cookies !== undefined && (domain || path)) {
      headers['set-cookie'] = [cookies].flat().map((cookie) => {
        const renamed = domain ? domain(cookie) : cookie;
        return path ? path(renamed) : renamed;
      });
    }
    const location = headers.location;
    if (redirects && typeof location === 'string' && REDIRECTS.has(status)) {
      headers.location = rewriteLocation(location, options, backend, clientHost);
    }
  };
}

function rewriteLocation(
  location: string,
  options: RewriteOptions,
  backend: URL,
  clientHost: string | undefined,
): string {
  if (!URL.canParse(location, backend.href)) return location;
  const url = new URL(location, backend);
  if (url.host !== backend.host) return location;
  const protocolRelative = location.startsWith('//') && !options.protocolRewrite;
  if (options.hostRewrite) url.host = options.hostRewrite;
  else if (options.autoRewrite && clientHost !== undefined) url.host = clientHost;
  if (options.protocolRewrite) url.protocol = options.protocolRewrite;
  return protocolRelative ? url.href.slice(url.protocol.length) : url.href;
}

function compileCookie(
  attribute: string,
  rewrite: CookieRewrite | undefined,
): ((cookie: string) => string) | null {
  if (rewrite === undefined || rewrite === false) return null;
  const rules = typeof rewrite === 'string' ? { '*': rewrite } : rewrite;
  const byOldValue = new Map(Object.entries(rules));
  const pattern = new RegExp(`(;\\s*${attribute}=)([^;]+)`, 'i');
  return (cookie) =>
    cookie.replace(pattern, (match: string, prefix: string, oldValue: string) => {
      const value = byOldValue.get(oldValue) ?? byOldValue.get('*');
      if (value === undefined) return match;
      return value === '' ? '' : prefix + value;
    });
}
