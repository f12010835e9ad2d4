// @ts-check
/** The results as a picture: a row a proxy, a panel a figure. Plain SVG, light and dark. */
import { rounded } from './report.js';
import { MIB } from './units.js';

const WIDTH = 1000;
const LABELS_WIDTH = 225;
const PANEL_GAP = 18;
const ROW_HEIGHT = 26;
const BAR_HEIGHT = 14;
const TOP = 74;
const BOTTOM = 34;

/** @typedef {import('./report.js').Figures} Figures */

/**
 * @typedef {object} Panel
 * @property {string} title
 * @property {number} share of the width
 * @property {(peer: Figures) => number} value
 * @property {(peer: Figures) => [from: number, to: number]} [spread] a thin line over the bar
 * @property {(peer: Figures) => number} [behind] a longer, paler bar behind it
 * @property {(peer: Figures) => string} text
 */

/** @type {Panel[]} */
const PANELS = [
  {
    title: 'CPU, µs a request',
    share: 0.34,
    value: ({ cpuUs }) => cpuUs,
    spread: ({ least, most }) => [least, most],
    text: ({ cpuUs }) => rounded(cpuUs),
  },
  {
    title: 'requests/s',
    share: 0.22,
    value: ({ perSecond }) => perSecond,
    text: ({ perSecond }) => rounded(perSecond),
  },
  {
    title: 'p50 and p99, ms',
    share: 0.26,
    value: ({ p50 }) => p50,
    behind: ({ p99 }) => p99,
    text: ({ p50, p99 }) => `${rounded(p50)} / ${rounded(p99)}`,
  },
  {
    title: 'peak RSS, MB',
    share: 0.18,
    value: ({ peakRss }) => peakRss / MIB,
    text: ({ peakRss }) => rounded(peakRss / MIB),
  },
];

/** A background of its own: what stands behind the picture need not follow the same scheme. */
export const STYLE = `
  .paper { fill: #ffffff }
  text { font: 12px system-ui, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2328 }
  .title { font-weight: 600 }
  .quiet { fill: #59636e; font-size: 11px }
  .bar { fill: #8c959f }
  .ours { fill: #0969da }
  .behind { opacity: 0.35 }
  .spread { stroke: #1f2328; stroke-width: 1.5 }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117 }
    text { fill: #f0f6fc }
    .quiet { fill: #9198a1 }
    .bar { fill: #656c76 }
    .ours { fill: #4493f8 }
    .spread { stroke: #f0f6fc }
  }`;

/**
 * @param {Figures[]} figures
 * @param {string} setting how they were measured
 */
export function chart(figures, setting) {
  const height = TOP + figures.length * ROW_HEIGHT + BOTTOM;
  const title = 'What a request costs the proxy';
  const labels = figures.map(({ label, isOurs }, row) => {
    const look = isOurs ? ' class="title"' : '';
    return `<text x="${LABELS_WIDTH - 8}" y="${textY(row)}" text-anchor="end"${look}>${escaped(label)}</text>`;
  });
  let x = LABELS_WIDTH;
  const panels = PANELS.map((panel) => {
    const width = (WIDTH - LABELS_WIDTH) * panel.share - PANEL_GAP;
    const drawn = drawPanel(panel, figures, x, width);
    x += width + PANEL_GAP;
    return drawn;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="title setting">
<title id="title">${title}</title>
<desc id="setting">${escaped(setting)}</desc>
<style>${STYLE}
</style>
<rect class="paper" width="${WIDTH}" height="${height}"/>
<text class="title" x="16" y="28">${title}</text>
${labels.join('\n')}
${panels.join('\n')}
<text class="quiet" x="16" y="${height - 12}">${escaped(setting)}</text>
</svg>
`;
}

/**
 * @param {Panel} panel
 * @param {Figures[]} figures
 * @param {number} x
 * @param {number} width
 */
function drawPanel({ title, value, spread, behind, text }, figures, x, width) {
  const longestText = Math.max(...figures.map((peer) => text(peer).length));
  const room = width - longestText * 7 - 6;
  const ends = (/** @type {Figures} */ peer) => [value(peer), behind?.(peer), spread?.(peer)[1]];
  const most = Math.max(...figures.flatMap(ends).map((end) => end ?? 0));
  const scaled = (/** @type {number} */ figure) => Number(((figure / most) * room).toFixed(1));

  const rows = figures.map((peer, row) => {
    const y = TOP + row * ROW_HEIGHT + (ROW_HEIGHT - BAR_HEIGHT) / 2;
    const bar = (/** @type {number} */ length, look = '') =>
      `<rect class="bar${peer.isOurs ? ' ours' : ''}${look}" x="${x}" y="${y}" width="${scaled(length)}" height="${BAR_HEIGHT}"/>`;
    const [from, to] = (spread?.(peer) ?? []).map((end) => x + scaled(end));
    const middle = y + BAR_HEIGHT / 2;
    const end = x + Math.max(...ends(peer).map((length) => scaled(length ?? 0))) + 5;
    return [
      behind === undefined ? '' : bar(behind(peer), ' behind'),
      bar(value(peer)),
      from === undefined
        ? ''
        : `<line class="spread" x1="${from}" x2="${to}" y1="${middle}" y2="${middle}"/>`,
      `<text x="${end}" y="${textY(row)}">${text(peer)}</text>`,
    ].join('');
  });
  return [`<text class="quiet" x="${x}" y="${TOP - 10}">${title}</text>`, ...rows].join('\n');
}

/** @param {number} row */
function textY(row) {
  return TOP + row * ROW_HEIGHT + ROW_HEIGHT / 2 + 4;
}

/** @param {string} text */
export function escaped(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
