// Prometheus's text format, read: what a register says of one metric.
import type { Registry } from 'prom-client';

/** `{a="1",b="x"}` of a sample, and its value. */
export type Sample = [labels: Record<string, string>, value: number];

/** The samples of one name (`..._bucket`, `..._sum` and `..._count` are names of their own). */
export function samplesOf(text: string, name: string): Sample[] {
  return text.split('\n').flatMap((line): Sample[] => {
    const [, found, labels = '', value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (found !== name) return [];
    const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)];
    return [[Object.fromEntries(pairs.map(([, key, text = '']) => [key, text])), Number(value)]];
  });
}

/** Asks a register as Prometheus does, for the samples of one name. */
export async function scrape(register: Pick<Registry, 'metrics'>, name: string): Promise<Sample[]> {
  return samplesOf(await register.metrics(), name);
}
