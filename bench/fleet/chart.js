// @ts-check
/** What a sick backend costs, by the size of the fleet: a row a size, a panel a sickness. */
import { escaped, STYLE } from '../chart.js';
import { REPLICAS } from './scenarios.js';

/** @typedef {import('./scenarios.js').Result} Result */

const WIDTH = 1000;
const LABELS_WIDTH = 110;
const PANEL_GAP = 40;
const ROW_HEIGHT = 46;
const BAR_HEIGHT = 15;
const TOP = 92;
const BOTTOM = 38;

/** @type {{ title: string, sickness: number, value: (result: Result) => number }[]} */
const PANELS = [
  {
    title: 'always fails: failed attempts until no replica uses it',
    sickness: 1,
    value: ({ outcome }) => outcome.failedUntilSafe,
  },
  {
    title: 'fails every second time: failed attempts in a minute',
    sickness: 0.5,
    value: ({ outcome }) => outcome.failedAttempts,
  },
];

/**
 * @param {Result[]} results
 * @param {string} setting
 */
export function chart(results, setting) {
  const height = TOP + REPLICAS.length * ROW_HEIGHT + BOTTOM;
  const title = 'One of three backends is sick: breakers alone, and shared';
  const panelWidth = (WIDTH - LABELS_WIDTH - PANELS.length * PANEL_GAP) / PANELS.length;
  const labels = REPLICAS.map((replicas, row) => {
    const text = replicas === 1 ? '1 replica' : `${replicas} replicas`;
    const y = TOP + row * ROW_HEIGHT + ROW_HEIGHT / 2 + 4;
    return `<text x="${LABELS_WIDTH - 10}" y="${y}" text-anchor="end">${text}</text>`;
  });
  const panels = PANELS.map((panel, i) =>
    drawPanel(panel, results, LABELS_WIDTH + i * (panelWidth + PANEL_GAP), panelWidth),
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="title setting">
<title id="title">${title}</title>
<desc id="setting">${escaped(setting)}</desc>
<style>${STYLE}
</style>
<rect class="paper" width="${WIDTH}" height="${height}"/>
<text class="title" x="16" y="28">${title}</text>
<rect class="bar" x="16" y="42" width="12" height="12"/><text class="quiet" x="34" y="52">each replica has to learn it</text>
<rect class="bar ours" x="200" y="42" width="12" height="12"/><text class="quiet" x="218" y="52">the first tells the others, 50 ms later</text>
${labels.join('\n')}
${panels.join('\n')}
<text class="quiet" x="16" y="${height - 12}">${escaped(setting)}</text>
</svg>
`;
}

/**
 * @param {typeof PANELS[number]} panel
 * @param {Result[]} results
 * @param {number} x
 * @param {number} width
 */
function drawPanel({ title, sickness, value }, results, x, width) {
  const shown = results.filter(
    ({ scenario }) => scenario.backends === 3 && scenario.sickness === sickness,
  );
  const most = Math.max(...shown.map(value));
  const bars = shown.map((result) => {
    const { replicas, shared } = result.scenario;
    const row = REPLICAS.indexOf(replicas);
    const y = TOP + row * ROW_HEIGHT + (shared ? ROW_HEIGHT / 2 : ROW_HEIGHT / 2 - BAR_HEIGHT);
    const length = Number(((value(result) / most) * (width - 60)).toFixed(1));
    const look = shared ? ' ours' : '';
    return `<rect class="bar${look}" x="${x}" y="${y}" width="${length}" height="${BAR_HEIGHT}"/><text x="${x + length + 5}" y="${y + BAR_HEIGHT - 3}">${value(result).toLocaleString('en')}</text>`;
  });
  return [`<text class="quiet" x="${x}" y="${TOP - 10}">${title}</text>`, ...bars].join('\n');
}
