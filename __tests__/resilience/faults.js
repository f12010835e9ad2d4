// @ts-check
/** What is done to a backend's process or its cable, and taken back. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { startProcess } from '../../bench/processes.js';

/** @typedef {import('./network.js').Network} Network */

/**
 * @typedef {object} Victim
 * @property {import('../../bench/processes.js').Peer} peer
 * @property {string} host
 * @property {object} settings
 * @property {Network | null} network its cable, where it has one
 */

/** @typedef {(victim: Victim) => Promise<() => Promise<void>>} Fault answers what takes it back */

/**
 * Not much more than the clients that may come at once: a full accept queue is one of the faults.
 */
const BACKLOG = 128;
const MOST_FILLERS = 512;
/** Shorter than a SYN that is lost takes to be sent again. */
const REACH_MS = 200;

/**
 * @param {string} record
 * @param {Network | null} [network]
 * @returns {Promise<Victim>}
 */
export async function startVictim(record, network = null) {
  const host = network?.host ?? '127.0.0.1';
  const settings = { port: 0, host, record, backlog: BACKLOG };
  const peer = await start(settings, network);
  return { peer, host, settings: { ...settings, port: peer.ready }, network };
}

/**
 * @param {object} settings
 * @param {Network | null} network
 */
function start(settings, network) {
  return startProcess(import.meta.resolve('./backend.js'), settings, [], network?.runner);
}

/** @type {Record<string, Fault>} */
export const FAULTS = {
  async killed(victim) {
    await victim.peer.kill();
    return async () => {
      victim.peer = await start(victim.settings, victim.network);
    };
  },
  /** It hangs, with all its sockets open; the kernel goes on to accept for it. */
  async stopped({ peer }) {
    peer.signal('SIGSTOP');
    return async () => peer.signal('SIGCONT');
  },
  /** It is stopped, and its accept queue is full: every further SYN is dropped. */
  async full({ peer, host }) {
    peer.signal('SIGSTOP');
    /** @type {import('node:net').Socket[]} */
    const fillers = [];
    for (let isFull = false; !isFull && fillers.length < MOST_FILLERS; ) {
      const filler = connect(peer.ready, host).on('error', () => {});
      fillers.push(filler);
      await Promise.race([once(filler, 'connect'), sleep(100)]);
      isFull = filler.connecting;
    }
    return async () => {
      for (const filler of fillers) filler.destroy();
      peer.signal('SIGCONT');
    };
  },
  async failing({ peer }) {
    await peer.ask('order', { status: 503 });
    return () => peer.ask('order', {});
  },
};

/** @param {string} netem */
const impaired =
  (netem) =>
  async (/** @type {Victim} */ { network }) => {
    network?.impair(netem);
    return async () => network?.impair(null);
  };

/** @type {Fault} what is on its way is lost, and nobody says so */
async function unplugged({ network, host, peer }) {
  network?.plug(false);
  return async () => {
    network?.plug(true);
    // It is well again when the kernel has found it: it asks for its address (ARP) once a second.
    while (!(await accepts(peer.ready, host)));
  };
}

/**
 * @param {number} port
 * @param {string} host
 */
async function accepts(port, host) {
  const socket = connect(port, host).on('error', () => {});
  const accepted = await Promise.race([
    once(socket, 'connect').then(() => true),
    sleep(REACH_MS, false),
  ]).catch(() => false);
  socket.destroy();
  return accepted;
}

/**
 * For the one that has a cable.
 * @param {Network} network
 * @returns {Record<string, Fault>}
 */
export function cableFaults({ hasNetem }) {
  if (!hasNetem) return { unplugged };
  const [lossy, slow] = [impaired('delay 20ms 10ms loss 15%'), impaired('delay 300ms 150ms')];
  return { unplugged, lossy, slow };
}
