/**
 * What replicas tell each other, as JSON: `{"v":1,"from":"web-3:4711/9f2c4e","kind":"failed",
 * "backend":"http://10.0.0.1:8081"}`. Whoever can write to Redis can write anything here.
 */
export type Message = { readonly from: string; readonly backend: string } & Word;

export type Word =
  /** An attempt of mine has failed. */
  | { readonly kind: 'failed' }
  /** After somebody's failure, an attempt of mine has succeeded. */
  | { readonly kind: 'well' }
  /** My own attempts have opened my breaker. */
  | {
      readonly kind: 'open';
      /** Until its probe. */
      readonly openMs: number;
      /** Since the first failure after my last success. */
      readonly failingMs: number;
      /** It was open before: its probe has failed. */
      readonly probe: boolean;
    }
  /** My probe has succeeded. */
  | { readonly kind: 'closed' };

/** Why a message is left unread. */
export type Unread = 'no message of ours' | 'of another version' | 'about an unknown backend';

const VERSION = 1;
/** A URL is the longest part of it. */
const MOST_CHARACTERS = 4096;
/** It goes into the log. */
const REPLICA = /^[\w.:/-]{1,128}$/;

export function write(from: string, backend: string, word: Word): string {
  return JSON.stringify({ v: VERSION, from, backend, ...word });
}

export function read(text: unknown): Message | Unread {
  const said = parsed(text);
  if (said === null) return 'no message of ours';
  if (said.v !== VERSION) return Number.isInteger(said.v) ? 'of another version' : NONE;
  const { from, backend, kind } = said;
  if (typeof from !== 'string' || !REPLICA.test(from) || typeof backend !== 'string') return NONE;
  if (kind === 'failed' || kind === 'well' || kind === 'closed') return { from, backend, kind };
  const { openMs, failingMs, probe } = said;
  if (kind !== 'open' || !isMs(openMs) || !isMs(failingMs) || typeof probe !== 'boolean')
    return NONE;
  return { from, backend, kind, openMs, failingMs, probe };
}

const NONE: Unread = 'no message of ours';

function parsed(text: unknown): Record<string, unknown> | null {
  if (typeof text !== 'string' || text.length > MOST_CHARACTERS) return null;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' ? (value as Record<string, unknown> | null) : null;
  } catch {
    return null; // the one thing it throws is that the text is no JSON
  }
}

function isMs(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}
