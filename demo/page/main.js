// @ts-check
/** The page's own script: it hears the feed and hands on what it tells. */
import { showBackends } from './cards.js';
import { connectControls, showLoad } from './controls.js';
import { byId } from './dom.js';
import { addLines, connectLog } from './log.js';
import { showTour } from './tour.js';

/** @typedef {import('./feed.js').DemoState} DemoState */

/** @param {DemoState} state */
function show(state) {
  const isOurs = state.backends.some(({ told }) => told !== null);
  document.body.dataset.backends = isOurs ? 'ours' : 'yours';
  showBackends(state);
  showLoad(state);
  if (isOurs) showTour(state.seen);
  else embedStatusPage();
}

/** Before backends of one's own there is nothing to switch, and room for it. */
function embedStatusPage() {
  const embedded = byId('embedded');
  if (embedded.querySelector('iframe') !== null) return;
  const frame = document.createElement('iframe');
  frame.title = 'Status page of the proxy';
  frame.src = '/_proxy/';
  embedded.append(frame);
  embedded.hidden = false;
}

const feed = new EventSource('feed');
feed.addEventListener('open', () => {
  byId('gone').hidden = true;
});
feed.addEventListener('error', () => {
  byId('gone').hidden = false;
});
feed.addEventListener('state', ({ data }) => show(JSON.parse(data)));
feed.addEventListener('lines', ({ data }) => addLines(JSON.parse(data)));
connectControls();
connectLog();
