// @ts-check
/** A network of our own: a namespace with one backend in it, behind a cable that can be made bad. */
import { spawnSync } from 'node:child_process';

const NAME = `etp-${process.pid}`;
/** RFC 2544: for tests of networks. A run that was killed may have left another behind. */
const [OURS, THEIRS] = [1, 2].map((host) => `198.18.${process.pid % 256}.${host}`);

/**
 * @typedef {object} Network
 * @property {string} host where the backend is to listen
 * @property {string[]} runner what its process is run by
 * @property {boolean} hasNetem whether the kernel can make a cable bad
 * @property {(netem: string | null) => void} impair how bad it is, as `tc netem` says it
 * @property {(isPlugged: boolean) => void} plug
 * @property {() => void} remove
 */

/** @param {string} command */
function run(command) {
  const [program = '', ...args] = command.split(' ');
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command}: ${error?.message ?? stderr.trim()}`);
}

/** @returns {Network | null} null, and a line that says why, where it is not permitted */
export function createNetwork() {
  const remove = () => {
    spawnSync('ip', ['netns', 'del', NAME]);
    spawnSync('ip', ['link', 'del', `${NAME}a`.slice(-15)]);
  };
  const cable = `${NAME}a`.slice(-15);
  const far = `${NAME}b`.slice(-15);
  const inside = `ip netns exec ${NAME}`;
  process.once('exit', remove);
  try {
    run(`ip netns add ${NAME}`);
    run(`ip link add ${cable} type veth peer name ${far}`);
    run(`ip link set ${far} netns ${NAME}`);
    run(`ip addr add ${OURS}/30 dev ${cable}`);
    run(`ip link set ${cable} up`);
    run(`${inside} ip addr add ${THEIRS}/30 dev ${far}`);
    run(`${inside} ip link set ${far} up`);
    run(`${inside} ip link set lo up`);
  } catch (error) {
    console.log(`without a network of its own, which needs root and ip: ${String(error)}`);
    remove();
    return null;
  }
  let hasNetem = true;
  try {
    run(`tc qdisc add dev ${cable} root netem delay 0ms`);
  } catch (error) {
    hasNetem = false;
    console.log(`without delay and loss, which need tc and sch_netem: ${String(error)}`);
  }
  return {
    host: String(THEIRS),
    hasNetem,
    plug(isPlugged) {
      run(`${inside} ip link set ${far} ${isPlugged ? 'up' : 'down'}`);
    },
    runner: ['ip', 'netns', 'exec', NAME],
    impair(netem) {
      run(`tc qdisc change dev ${cable} root netem ${netem ?? 'delay 0ms loss 0%'}`);
    },
    remove,
  };
}
