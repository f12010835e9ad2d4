// @ts-check
/** What the demo is told by its command line and its environment; a wrong word of it ends the demo. */

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
