import type { Request, Response } from 'express';
import { markHead } from './access-log.js';
import type { Backend } from './backends.js';
import type { Context } from './context.js';
import { hookError } from './errors.js';
import { modifyHead, writeHead } from './respond.js';
import type { Head } from './transport/transport.js';

/**
 * The moment the response head goes to the client, the hooks' work on it included. Answers whether
 * it has: a hook may have answered by itself.
 *
 * @throws {ProxyError} a hook's own, or `HOOK_FAILED`.
 */
export function commitHead(
  { rewrite, options, trace }: Context,
  head: Head,
  { url }: Backend,
  req: Request,
  res: Response,
): boolean {
  let hook = 'on.proxyRes';
  try {
    head.runHooks();
    rewrite?.(head.status, head.headers, url, req.headers.host);
    hook = 'modifyResponse';
    if (options.modifyResponse) modifyHead(options.modifyResponse, head, req);
    if (res.headersSent) return false;
    hook = 'a listener of the response head'; // a middleware's
    writeHead(res, head, trace, options.preserveHeaderKeyCase === true);
    markHead(res);
    return true;
  } catch (thrown) {
    throw hookError(hook, thrown);
  }
}
