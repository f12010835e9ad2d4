// @ts-check
// Small charts in SVG, without axes: the table beside them has the figures.
import { setAttribute } from './dom.js';

const SVG = 'http://www.w3.org/2000/svg';
const WIDTH = 180;
const HEIGHT = 30;

/** @typedef {import('../series.js').History} History */

/** @param {string} kind */
export function makeChart(kind) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', `chart ${kind}`);
  svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('role', 'img');
  const names = kind === 'latency' ? ['band', 'p99', 'p50'] : ['attempts', 'failures'];
  for (const name of names) {
    const path = document.createElementNS(SVG, 'path');
    path.setAttribute('class', name);
    svg.append(path);
  }
  return svg;
}

/** @param {number} value */
const tenths = (value) => Math.round(value * 10) / 10;

/** @param {number} i @param {number} count */
const x = (i, count) => tenths(((i + 0.5) * WIDTH) / count);

/**
 * Runs of buckets in which there was something to measure.
 * @param {(number | null)[]} values
 * @returns {[i: number, value: number][][]}
 */
function runs(values) {
  /** @type {[i: number, value: number][][]} */
  const found = [];
  values.forEach((value, i) => {
    if (value === null) return;
    if (i === 0 || values[i - 1] === null || found.length === 0) found.push([]);
    found.at(-1)?.push([i, value]);
  });
  return found;
}

/**
 * A line for each run; a run of one is a short dash.
 * @param {(number | null)[]} values
 * @param {(value: number) => number} y
 */
function lines(values, y) {
  return runs(values)
    .map((run) => {
      const points = run.map(([i, value]) => `${x(i, values.length)},${y(value)}`);
      return points.length === 1 ? `M${points[0]}h1.5` : `M${points.join('L')}`;
    })
    .join('');
}

/**
 * @param {SVGSVGElement} svg
 * @param {History} history
 * @param {number} most the highest p99 of all that it is compared with
 * @param {string} label
 */
export function drawLatency(svg, { p50, p99 }, most, label) {
  const y = (/** @type {number} */ value) =>
    tenths(HEIGHT - 2 - (value / (most || 1)) * (HEIGHT - 4));
  const [band, high, low] = svg.children;
  const areas = runs(p99).map((run) => {
    const above = run.map(([i, value]) => `${x(i, p99.length)},${y(value)}`);
    const below = run.map(([i, value]) => `${x(i, p99.length)},${y(p50[i] ?? value)}`).reverse();
    return `M${[...above, ...below].join('L')}z`;
  });
  if (band) setAttribute(band, 'd', areas.join(''));
  if (high) setAttribute(high, 'd', lines(p99, y));
  if (low) setAttribute(low, 'd', lines(p50, y));
  setAttribute(svg, 'aria-label', label);
}

/**
 * @param {SVGSVGElement} svg
 * @param {History} history
 * @param {number} most the most attempts of all that it is compared with
 * @param {string} label
 */
export function drawTraffic(svg, { attempts, failures }, most, label) {
  const bars = (/** @type {number[]} */ values, /** @type {number} */ least) =>
    values
      .map((value, i) => {
        if (value === 0) return '';
        const height = Math.max(least, (value / (most || 1)) * (HEIGHT - 2));
        const width = tenths((0.7 * WIDTH) / values.length);
        return `M${x(i, values.length)},${HEIGHT}h${width}v${-tenths(height)}h${-width}z`;
      })
      .join('');
  const [all, failed] = svg.children;
  if (all) setAttribute(all, 'd', bars(attempts, 1));
  if (failed) setAttribute(failed, 'd', bars(failures, 3));
  setAttribute(svg, 'aria-label', label);
}
