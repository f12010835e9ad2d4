import { promises as dns } from 'node:dns';
import type { SourceContext } from './discover.js';

/** Node's `dns.promises.Resolver`, or what can do as much. */
export type DnsResolver = {
  resolve4(host: string): Promise<string[]>;
  resolve6(host: string): Promise<string[]>;
  resolveSrv(name: string): Promise<SrvRecord[]>;
};

export interface SrvRecord {
  name: string;
  port: number;
  priority: number;
  weight: number;
}

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
    family === 6 ? [] : orNone(resolver.resolve4(host)),
    family === 4 ? [] : orNone(resolver.resolve6(host)),
  ]);
  return [...new Set([...ipv4, ...ipv6])].sort();
}

export async function servicesOf(resolver: DnsResolver, name: string): Promise<SrvRecord[]> {
  return orNone(resolver.resolveSrv(name));
}

async function orNone<T>(records: Promise<T[]>): Promise<T[]> {
  try {
    return await records;
  } catch (error) {
    if (NOTHING.has((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}
