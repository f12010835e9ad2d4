import type { IncomingMessage } from 'node:http';
import { eventName, shownUrl } from './names.js';
import type { Followed } from './report.js';

/** The header that a request for an action bears: no foreign page can send it unasked (CORS). */
export const ACTION_HEADER = 'x-status-page-action';

export type Action = 'drain' | 'undrain';

/** What the page has drained, and how that is undone. What others have drained is theirs. */
export class Drains {
  readonly #undo = new Map<string, (() => void)[]>();
  #isOver = false;

  readonly has = (proxy: string, url: string): boolean => this.#undo.has(keyOf(proxy, url));

  /**
   * Answers a status: 204; 404 where there is no such backend, or all is over; 409 where it was not drained here.
   * Backends that differ in their query alone go together.
   */
  act(action: Action, { name, proxy, recorder }: Followed, url: string): number {
    const found = proxy.status().backends.filter((backend) => shownUrl(backend.url) === url);
    if (found.length === 0 || this.#isOver) return 404;
    const meant = found.map((backend) => backend.url);
    const key = keyOf(name, url);
    // One that has left and come back is another, which is not drained.
    if (!found.every(({ drained }) => drained)) this.#undo.delete(key);
    const undo = this.#undo.get(key);
    if (action === 'drain') {
      if (undo !== undefined) return 204;
      this.#undo.set(
        key,
        meant.map((each) => proxy.drain(each)),
      );
    } else {
      if (undo === undefined) return 409;
      for (const each of undo) each();
      this.#undo.delete(key);
    }
    recorder.tell(action, eventName(url));
    return 204;
  }

  /** Puts all back that the page has drained; it drains no more. */
  end(): void {
    this.#isOver = true;
    for (const undo of this.#undo.values()) for (const each of undo) each();
    this.#undo.clear();
  }
}

const keyOf = (proxy: string, url: string): string => JSON.stringify([proxy, url]);

/**
 * Whether a request for an action comes from the page itself. Browsers say where a request comes
 * from (`Sec-Fetch-Site`; older ones `Origin`), and no script can change these; a request that says
 * neither is refused, too.
 */
export function isFromPage({ headers }: IncomingMessage, action: Action): boolean {
  if (headers[ACTION_HEADER] !== action) return false;
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site === 'same-origin';
  const { origin = '', host = '' } = headers;
  return URL.canParse(origin) && new URL(origin).host === host.toLowerCase();
}
