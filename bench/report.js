// @ts-check
/** From the rounds to a table: medians, their spread, and ratios. */
import { MIB } from './units.js';

/** @typedef {{ cpuUs: number, perSecond: number, p50: number, p99: number, peakRss: number }} Round */

/**
 * The medians of a proxy's rounds; times in ms but for `cpuUs`, microseconds a request.
 * @typedef {Round & { name: string, label: string, isOurs: boolean, least: number, most: number,
 *   cpus: number[] }} Figures `least` and `most` are of `cpus`: `cpuUs`, round by round
 */

/**
 * @param {{ name: string, label: string, rounds: Round[] }[]} entrants
 * @returns {Figures[]} the cheapest first
 */
export function summary(entrants) {
  return entrants
    .map(({ name, label, rounds }) => {
      const all = (/** @type {keyof Round} */ key) => rounds.map((round) => round[key]);
      const cpus = all('cpuUs');
      return {
        name,
        label,
        isOurs: name.startsWith('ours'),
        cpuUs: median(cpus),
        cpus,
        least: Math.min(...cpus),
        most: Math.max(...cpus),
        perSecond: median(all('perSecond')),
        p50: median(all('p50')),
        p99: median(all('p99')),
        peakRss: Math.max(...all('peakRss')),
      };
    })
    .sort((one, other) => one.cpuUs - other.cpuUs);
}

/** @param {number[]} values */
function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const [low, high] = [Math.floor((sorted.length - 1) / 2), Math.ceil((sorted.length - 1) / 2)];
  return (Number(sorted[low]) + Number(sorted[high])) / 2;
}

/**
 * A Markdown table that can be read as it is, and below it how our CPU time compares with theirs.
 * @param {Figures[]} figures
 */
export function table(figures) {
  const header = ['', 'CPU us/request', 'min to max', 'requests/s', 'p50 ms', 'p99 ms', 'RSS MB'];
  const rows = figures.map((peer) => [
    peer.label,
    rounded(peer.cpuUs),
    `${rounded(peer.least)} to ${rounded(peer.most)}`,
    rounded(peer.perSecond),
    rounded(peer.p50),
    rounded(peer.p99),
    rounded(peer.peakRss / MIB),
  ]);
  const legend =
    'CPU: user and system time of the proxy process, a request; medians of the rounds. RSS: its peak.';
  return [aligned([header, ...rows]), legend, ...ratios(figures)].join('\n\n');
}

/**
 * Round by round, and of these the median: what the machine does meanwhile hits both sides of a ratio.
 * @param {Figures[]} figures
 */
function ratios(figures) {
  const ours = figures.filter(({ isOurs }) => isOurs);
  const others = figures.filter(({ isOurs }) => !isOurs);
  if (ours.length === 0 || others.length === 0) return [];
  const header = [
    'CPU a request, ours / theirs, medians of the rounds',
    ...ours.map(({ label }) => label),
  ];
  const rows = others.map((peer) => [
    peer.label,
    ...ours.map(({ cpus }) => median(cpus.map((us, i) => us / Number(peer.cpus[i]))).toFixed(2)),
  ]);
  return [aligned([header, ...rows])];
}

/** @param {string[][]} rows the header first */
function aligned([header = [], ...rows]) {
  const widths = header.map((title, column) =>
    Math.max(...[title, ...rows.map((row) => row[column] ?? '')].map(({ length }) => length)),
  );
  const line = (/** @type {string[]} */ cells) =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(' | ')} |`;
  const rule = widths.map((width, i) =>
    i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`,
  );
  return [header, rule, ...rows].map(line).join('\n');
}

/**
 * Three digits, more only before the point.
 * @param {number} value
 */
export function rounded(value) {
  return value.toFixed(value < 1 ? 2 : value < 100 ? 1 : 0);
}
