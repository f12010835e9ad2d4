// @ts-check
/**
 * Who may use the switches: the demo's own page, and programs of this machine. Not another site's
 * page in the same browser, by a form of its own or a name that it has led to this address.
 */

const LOOPBACK = /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/;

/** @type {import('express').RequestHandler} */
export const onlyThisMachine = (req, res, next) => {
  const { host = '', origin } = req.headers;
  if (LOOPBACK.test(host) && (origin === undefined || origin === `http://${host}`)) next();
  else res.status(403).type('text').send('Only for http://127.0.0.1 and http://localhost.\n');
};

const PAGE_HEADERS = {
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "frame-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'Cache-Control': 'no-cache',
};

/**
 * The page has all its parts from here, and scripts can make no HTML.
 *
 * @type {import('express').RequestHandler}
 */
export const strictPage = (_req, res, next) => {
  res.set(PAGE_HEADERS);
  next();
};
