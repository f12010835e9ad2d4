import type { IncomingMessage, Server } from 'node:http';
import type { Router } from 'express';

/**
 * Where a proxy is mounted, told without running the app: by the layers of the app that the server
 * serves.
 */

/** Express's own: 4 and the first of 5 leave the path that has matched on the layer. */
interface Layer {
  handle: { stack?: Layer[] };
  route?: { stack: Layer[] };
  path?: string;
  match(path: string): boolean | { path: string };
}

interface App {
  stack?: Layer[];
  _router?: { stack: Layer[] };
  lazyrouter?: unknown;
  router?: { stack: Layer[] };
}

/**
 * Whether a path leads to the router, which `takes` what is left of it there. `mountPath` says
 * where it is in an app that cannot be looked at.
 */
export function compileMounted(
  router: Router,
  mountPath: string | null,
  takes: (req: IncomingMessage, path: string) => boolean,
): (server: Server, req: IncomingMessage) => boolean {
  const base = mountPath?.replace(/\/$/, '').toLowerCase();
  return function isMountedAt(server, req) {
    const path = req.url?.split('?', 1)[0] ?? '';
    const found = (rest: string): boolean => takes(req, rooted(rest));
    if (base === undefined) {
      return server.listeners('request').some((app) => leads(stackOf(app), path, router, found));
    }
    // As `app.use()` matches, in an app that has not set `case sensitive routing`.
    return `${path.toLowerCase()}/`.startsWith(`${base}/`) && found(path.slice(base.length));
  };
}

const rooted = (path: string): string => (path.startsWith('/') ? path : `/${path}`);

/** Express 4 has `_router`, from its first layer on, and a `router` that throws. */
function stackOf(app: object): Layer[] {
  const { stack, _router, lazyrouter } = app as App;
  const router = _router ?? (lazyrouter === undefined ? (app as App).router : undefined);
  return stack ?? router?.stack ?? [];
}

type Found = (rest: string) => boolean;

function leads(stack: readonly Layer[], path: string, router: Router, found: Found): boolean {
  return stack.some((layer) => {
    const matched = matchedPath(layer, path);
    if (matched === null) return false;
    const { route } = layer; // it strips nothing off the path
    const rest = route === undefined ? rooted(path.slice(matched.length)) : path;
    return (route?.stack ?? [layer]).some(({ handle }) => {
      if (handle === (router as object)) return found(rest);
      return Array.isArray(handle.stack) && leads(handle.stack, rest, router, found);
    });
  });
}

function matchedPath(layer: Layer, path: string): string | null {
  try {
    const match = layer.match(path);
    return match === false ? null : ((match === true ? layer.path : match.path) ?? '');
  } catch {
    return null; // an escape that is none: when the app meets it, it answers 400
  }
}
