// @ts-check
/** What the demo is told by its command line and its environment; a wrong word of it ends the demo. */
import { lookup } from 'node:dns/promises';

/** What leads to a socket that listens on 127.0.0.1. */
const OWN = new Set(['127.0.0.1', '::ffff:7f00:1', '0.0.0.0']);

/** @param {string} value */
export function parseUrl(value) {
  const protocol = URL.canParse(value) ? new URL(value).protocol : '';
  if (protocol === 'http:' || protocol === 'https:') return value;
  return giveUp(`'${value}' is not a backend's URL. A right one: http://127.0.0.1:8081`);
}

/** @param {string} value */
export function parsePort(value) {
  if (/^\d{1,5}$/.test(value) && Number(value) <= 65_535) return Number(value);
  return giveUp(`PORT is '${value}', which is no port. A right one: PORT=3100 npm start`);
}

/**
 * The demo listens on 127.0.0.1, at this port. Before itself, each request would come back to it for ever.
 *
 * @param {readonly string[]} urls
 * @param {number} port
 */
export async function refuseItself(urls, port) {
  for (const url of urls) {
    const { hostname, protocol, port: given } = new URL(url);
    if (Number(given || (protocol === 'https:' ? 443 : 80)) !== port) continue;
    const host = hostname.replace(/^\[|\]$/g, '');
    const found = await lookup(host, { all: true }).catch(() => []); // nobody has the name
    if (found.some(({ address }) => OWN.has(address)))
      giveUp(`'${url}' is this demo itself. Another port for it: PORT=3100 npm start -- ${url}`);
  }
}

/**
 * @param {number} port
 * @param {NodeJS.ErrnoException} error
 * @returns {never}
 */
export function explainListenError(port, error) {
  const what = error.code === 'EADDRINUSE' ? 'it is taken' : error.message;
  return giveUp(`Cannot listen on port ${port}: ${what}. Another one: PORT=3100 npm start`);
}

/**
 * @param {string} message
 * @returns {never}
 */
function giveUp(message) {
  console.error(message);
  process.exit(1);
}
