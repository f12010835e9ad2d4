// @ts-check
/** What the benchmark is asked for on the command line. */
import { parseArgs } from 'node:util';
import { PEERS } from './peers.js';
import { WORKS } from './works.js';

const USUAL_ROUNDS = 18;
const USUAL_WORK = 'get';
const USUAL_PEERS = Object.keys(PEERS);
const USUAL_BACKENDS = 2;

const HELP = `npm run bench -- [options]

  --work NAME        ${Object.keys(WORKS).join(', ')}; default: ${USUAL_WORK}
  --connections N    default: 50, with bodies of 10 MB 8
  --rounds N         default: ${USUAL_ROUNDS}
  --seconds N        of a round; default: 1, with bodies of 10 MB 2
  --backends N       default: ${USUAL_BACKENDS}, to those that balance
  --peers NAME,...   ${Object.keys(PEERS).join(', ')}; default: all
  --quick            one round of a second: whether all of it works, not how fast it is`;

/**
 * @typedef {object} Plan
 * @property {import('./works.js').Work} work
 * @property {string[]} peers
 * @property {number} backends
 * @property {number} connections
 * @property {number} rounds
 * @property {number} seconds of a round
 * @property {number} warmUpSeconds
 * @property {boolean} quick
 * @property {string} results the name of the files with the results
 */

/**
 * Ends the process where there is nothing to do.
 * @param {string[]} args
 * @returns {Plan}
 */
export function readArguments(args) {
  try {
    const options = parse(args);
    if (!options.help) return plan(options);
    console.log(HELP);
  } catch (error) {
    console.error(`${/** @type {Error} */ (error).message}\n\n${HELP}`);
    process.exitCode = 1;
  }
  process.exit();
}

/** @param {string[]} args */
function parse(args) {
  return parseArgs({
    args,
    options: {
      work: { type: 'string', default: USUAL_WORK },
      backends: { type: 'string' },
      connections: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      peers: { type: 'string' },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  }).values;
}

/**
 * @param {ReturnType<typeof parse>} options
 * @returns {Plan}
 */
function plan({ work: name, quick, peers, ...numbers }) {
  const work = WORKS[name]?.();
  if (work === undefined) throw new Error(`no such work: ${name}`);
  const chosen = peers?.split(',') ?? USUAL_PEERS;
  const unknown = chosen.find((peer) => !(peer in PEERS));
  if (unknown !== undefined) throw new Error(`no such peer: ${unknown}`);

  const connections = count('connections', numbers.connections) ?? work.connections;
  const backends = count('backends', numbers.backends) ?? USUAL_BACKENDS;
  const ofBackends = backends === USUAL_BACKENDS ? '' : `-${backends}-backends`;
  const isUsual =
    name === USUAL_WORK && connections === work.connections && peers === undefined && !ofBackends;
  return {
    work,
    peers: chosen,
    backends,
    connections,
    rounds: count('rounds', numbers.rounds) ?? (quick ? 1 : USUAL_ROUNDS),
    seconds: count('seconds', numbers.seconds) ?? (quick ? 1 : work.seconds),
    warmUpSeconds: quick ? 1 : 3,
    quick,
    results: isUsual ? 'results' : `results-${name}-${connections}${ofBackends}`,
  };
}

/**
 * @param {string} name
 * @param {string} [text]
 */
function count(name, text) {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`--${name} wants a number from 1 on, not ${text}`);
  return Number(text);
}
