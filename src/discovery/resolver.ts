import { promises as dns } from 'node:dns';
import type { SourceContext } from './discover.js';

/** Node's `dns.promises.Resolver`, or what can do as much. */
export type DnsResolver = {
  /** The A records of a name. Rejects with a `code`: `'ENODATA'` and `'ENOTFOUND'` mean that there are none. */
  resolve4(host: string): Promise<string[]>;
  /** Its AAAA records, in the same way. */
  resolve6(host: string): Promise<string[]>;
  /** The SRV records of a service, in the same way. */
  resolveSrv(name: string): Promise<SrvRecord[]>;
};

/** As `resolveSrv()` of Node answers it. */
export interface SrvRecord {
  /** The host. */
  name: string;
  /** Of the service on that host. */
  port: number;
  /** The lowest is tried first. */
  priority: number;
  /** Its share among those of the same priority; 0 counts as 1. */
  weight: number;
}

/** `4`: A records alone; `6`: AAAA alone; `0`: both. */
export type Family = 0 | 4 | 6;

/** There is no such name, or none of these records: an answer, and no failure of the resolver. */
const NOTHING = new Set(['ENODATA', 'ENOTFOUND']);

/** A query that a server does not answer is over well before the look is. */
const OWN = { timeout: 1500, tries: 2 };

/** Runs one look, with a resolver of its own where none is given: only that one may be cancelled. */
export async function look<T>(
  given: DnsResolver | undefined,
  { signal }: SourceContext,
  run: (resolver: DnsResolver) => Promise<T>,
): Promise<T> {
  if (given !== undefined) return run(given);
  const own = new dns.Resolver(OWN);
  const cancel = (): void => own.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  try {
    return await run(own);
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

/**
 * All of a host, in an order that does not change from one answer to the next; none where there are
 * none. A query that fails makes it fail: half an answer would take backends out that are well.
 */
export async function addressesOf(
  resolver: DnsResolver,
  host: string,
  family: Family,
): Promise<string[]> {
  const [ipv4, ipv6] = await Promise.all([
    family === 6 ? [] : orNone(() => resolver.resolve4(host)),
    family === 4 ? [] : orNone(() => resolver.resolve6(host)),
  ]);
  return [...new Set([...ipv4, ...ipv6])].sort();
}

export async function servicesOf(resolver: DnsResolver, name: string): Promise<SrvRecord[]> {
  return orNone(() => resolver.resolveSrv(name));
}

/** One of the user's may throw at once: then another query's rejection must not be left to nobody. */
async function orNone<T>(query: () => Promise<T[]>): Promise<T[]> {
  try {
    return await query();
  } catch (error) {
    if (NOTHING.has((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}
