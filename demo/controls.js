// @ts-check
/** The switches: what the page's buttons ask for, and `curl -X POST` as well. */
import { STATES } from './backend.js';
import { RATES } from './load.js';

/** @typedef {import('express').RequestHandler<Record<string, string>>} Handler */

/**
 * `POST /backends/WHICH/STATE`
 *
 * @param {Awaited<ReturnType<typeof import('./backend.js').startBackend>>[]} backends
 * @param {(line: string) => void} print
 * @returns {Handler}
 */
export function switchBackends(backends, print) {
  return async (req, res) => {
    const { which, state = '' } = req.params;
    const chosen = backends.filter(({ number }) => which === 'all' || which === String(number));
    if (chosen.length === 0 || !STATES.has(state)) {
      const states = [...STATES.keys()].join(', ');
      const usage = `POST /backends/WHICH/STATE\nWHICH: 1, 2, 3, all\nSTATE: ${states}\n`;
      return void res.status(404).type('text').send(usage);
    }
    for (const backend of chosen) await backend.switchTo(state);
    const now = `backends now: ${backends.map((backend) => backend.describe()).join(', ')}`;
    print(`-- ${now}`);
    res.type('text').send(`${now}\n`);
  };
}

/**
 * `POST /load/WHAT`
 *
 * @param {import('./load.js').Load} load
 * @returns {Handler}
 */
export function setLoad(load) {
  return (req, res) => {
    const { what } = req.params;
    const perSecond = RATES.find((rate) => String(rate) === what);
    if (perSecond !== undefined) load.set({ perSecond });
    else if (what === 'run' || what === 'pause') load.set({ paused: what === 'pause' });
    else {
      const usage = `POST /load/WHAT\nWHAT: run, pause, or GETs a second: ${RATES.join(', ')}\n`;
      return void res.status(404).type('text').send(usage);
    }
    const now = load.paused ? 'paused' : 'on while a page is open';
    res.type('text').send(`load now: ${load.perSecond} a second, ${now}\n`);
  };
}

/**
 * `POST /send/WHAT`; the answer tells what the client got.
 *
 * @param {import('./client.js').Client} client
 * @returns {Handler}
 */
export function send(client) {
  return async (req, res) => {
    const { what } = req.params;
    if (what !== 'get' && what !== 'post' && what !== 'burst') {
      const usage = 'POST /send/WHAT\nWHAT: get, post, burst\n';
      return void res.status(404).type('text').send(usage);
    }
    const got = await (what === 'burst'
      ? client.burst()
      : client.send(what === 'get' ? 'GET' : 'POST', what));
    res.json(got); // null: too many are on their way
  };
}
