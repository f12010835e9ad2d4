// The connection never stands; over TLS, it does so when the handshake is over.
import { impostorCertificate, localhostCertificate } from '../certificates.js';
import { blackHole, refusedUrl } from '../raw.js';
import { close, drip, hang, type Play, plays, reset, write } from '../sick-backend.js';
import { type FaultRow, goesOn, SHORT_MS } from './row.js';

const phase = 'before the connection stands';
const unreached = { phase, reached: 'nothing' } as const;
const hello: Play = ({ tcp }) => new Promise((resolve) => tcp.once('data', () => resolve()));
const handshake = (...steps: Play[]) => ({ https: true, play: plays(hello, ...steps) }) as const;

export const BEFORE_CONNECTION: FaultRow[] = [
  {
    ...unreached,
    fault: 'refused',
    how: 'nothing listens on the port',
    sick: { url: refusedUrl },
    connections: 0,
    ...goesOn('ECONNREFUSED'),
  },
  {
    ...unreached,
    fault: 'hang',
    how: 'its SYN is dropped',
    sick: { url: async () => (await blackHole()).url },
    connections: 0,
    options: { connectTimeout: SHORT_MS },
    ...goesOn('ETIMEDOUT'),
  },
  {
    ...unreached,
    fault: 'DNS failure',
    how: 'the name does not resolve',
    sick: { url: async () => 'http://nowhere.invalid:8080' },
    connections: 0,
    ...goesOn('ENOTFOUND|EAI_AGAIN'),
  },
  {
    ...unreached,
    fault: 'TLS failure',
    how: 'a certificate that nobody vouches for',
    sick: { tls: impostorCertificate, play: hang },
    connections: 1,
    ...goesOn('DEPTH_ZERO_SELF_SIGNED_CERT'),
  },
  {
    ...unreached,
    fault: 'TLS failure',
    how: 'a certificate of another name',
    sick: { tls: impostorCertificate, play: hang },
    connections: 1,
    options: { ssl: { ca: impostorCertificate.cert } },
    ...goesOn('ERR_TLS_CERT_ALTNAME_INVALID'),
  },
  {
    ...unreached,
    fault: 'reset',
    how: 'amid the TLS handshake',
    sick: handshake(reset),
    connections: 1,
    ...goesOn('ECONNRESET'),
  },
  {
    ...unreached,
    fault: 'closed',
    how: 'amid the TLS handshake',
    sick: handshake(close),
    connections: 1,
    ...goesOn('ECONNRESET'),
  },
  {
    ...unreached,
    fault: 'garbage',
    how: 'it speaks plain HTTP, and the target says https:',
    sick: handshake(write('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')),
    connections: 1,
    ...goesOn('EPROTO|ERR_SSL_*'),
  },
  {
    ...unreached,
    fault: 'hang',
    how: 'amid the TLS handshake',
    sick: handshake(hang),
    connections: 1,
    options: { connectTimeout: SHORT_MS },
    ...goesOn('ETIMEDOUT'),
  },
  {
    ...unreached,
    fault: 'slow drip',
    how: 'a TLS record that never comes whole',
    sick: handshake(write('\x16\x03\x03\x20\x00'), drip('\x02')),
    connections: 1,
    options: { connectTimeout: SHORT_MS, ssl: { ca: localhostCertificate.cert } },
    ...goesOn('ETIMEDOUT'),
  },
];
