// nginx and HAProxy as reverse proxies of one server: behind our proxy, or in front of it. They run
// from a configuration in a folder of their own, on free ports, and need no privileges.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { localhostCertificate } from '../../support/certificates.js';
import { freePort, Program } from './program.js';

/** nginx or HAProxy. */
export type Kind = 'nginx' | 'haproxy';

/** What it does. */
export interface GatewayOptions {
  /** The port of 127.0.0.1 that it forwards to. */
  upstream: number;
  /** It is the first that the client meets: it sets `X-Forwarded-*`, and speaks TLS too. */
  first?: boolean;
  /** nginx without a setting that it does not need: it calls by HTTP/1.0, and buffers all bodies. */
  asItComes?: boolean;
}

/** The request header in which a gateway tells the port that it was called from. */
export const PEER_PORT = 'x-peer-port';

/** nginx refuses longer uploads, with 413. */
export const NGINX_MOST_BYTES = 20 * 2 ** 20;

interface Settings extends GatewayOptions {
  folder: string;
  port: number;
  tlsPort: number;
}

/** One that runs. */
export interface Gateway {
  port: number;
  url: string;
  /** `https://...`, of one that is `first`. */
  tlsUrl: string;
  /** In `files/` lies what nginx serves by itself, below `/files/`. */
  folder: string;
  /** Its own access log so far. */
  log(): string;
  /** Kills it (SIGKILL), and its connections with it. */
  kill(): Promise<void>;
  /** Starts it again on the same port. */
  restart(): Promise<void>;
}

/** Starts one. */
export async function startGateway(kind: Kind, options: GatewayOptions): Promise<Gateway> {
  const program = new Program(kind);
  const { folder } = program;
  const port = await freePort();
  const tlsPort = await freePort();
  const config = join(folder, 'config');
  const settings = { ...options, folder, port, tlsPort };
  mkdirSync(join(folder, 'files'));
  writeFileSync(join(folder, 'tls.pem'), localhostCertificate.cert + localhostCertificate.key);
  writeFileSync(config, kind === 'nginx' ? nginxConfig(settings) : haproxyConfig(settings));
  const args = kind === 'nginx' ? ['-p', folder, '-c', config] : ['-db', '-f', config];
  const restart = (): Promise<void> => {
    program.start(args);
    return program.untilAccepting(port);
  };
  await restart();
  const accessLog = join(folder, 'access.log');
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    tlsUrl: `https://127.0.0.1:${tlsPort}`,
    folder,
    log: () => (existsSync(accessLog) ? readFileSync(accessLog, 'utf8') : program.output),
    kill: () => program.kill(),
    restart,
  };
}

/**
 * Buffering is off, so that an upload and an event stream pass as they come. `Connection` is what
 * nginx's documentation wants it to be for pooled connections and for WebSockets.
 */
function nginxConfig({ folder, port, tlsPort, upstream, first, asItComes }: Settings): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return `
    daemon off;
    master_process off;
    pid ${folder}/nginx.pid;
    error_log stderr;
    worker_rlimit_nofile 8192;
    events { worker_connections 4096; }
    http {
      ${temporary.map((name) => `${name}_temp_path ${folder}/${name};`).join(' ')}
      log_format ids '$request_method $request_uri $status $http_x_request_id';
      access_log ${folder}/access.log ids;
      client_max_body_size ${NGINX_MOST_BYTES};
      map $http_upgrade $connection_header { default upgrade; '' ''; }
      upstream app { server 127.0.0.1:${upstream}; keepalive 64; }
      server {
        listen 127.0.0.1:${port} backlog=4096;
        ${first ? `listen 127.0.0.1:${tlsPort} ssl;` : ''}
        ssl_certificate ${folder}/tls.pem;
        ssl_certificate_key ${folder}/tls.pem;
        location /files/ { root ${folder}; gzip on; gzip_min_length 1; gzip_types *; }
        location / {
          proxy_pass http://app;
          ${asItComes ? '' : NGINX_STREAMING}
          proxy_set_header Host $http_host;
          ${first ? NGINX_FORWARDED : `proxy_set_header ${PEER_PORT} $remote_port;`}
        }
      }
    }`;
}

const NGINX_STREAMING = `
          proxy_http_version 1.1;
          proxy_buffering off;
          proxy_request_buffering off;
          proxy_set_header Upgrade $http_upgrade;
          proxy_set_header Connection $connection_header;`;

const NGINX_FORWARDED = `
          proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
          proxy_set_header X-Forwarded-Proto $scheme;
          proxy_set_header X-Forwarded-Host $http_host;`;

/**
 * `forwardfor` adds a header line of its own beside the client's. Without `abortonclose` the end of
 * a client's connection might as well be the end of its request: the server hears of neither.
 */
function haproxyConfig({ folder, port, tlsPort, upstream, first }: Settings): string {
  const tls = first ? `bind 127.0.0.1:${tlsPort} ssl crt ${folder}/tls.pem` : '';
  return `
global
  log stdout format raw local0
  maxconn 4096
defaults
  mode http
  log global
  option dontlognull
  retries 0
  option http-no-delay
  option abortonclose
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend clients
  bind 127.0.0.1:${port} backlog 4096
  ${tls}
  http-request capture req.hdr(X-Request-ID) len 128
  log-format "%HM %HU %ST %[capture.req.hdr(0)]"
  ${first ? HAPROXY_FORWARDED : `http-request set-header ${PEER_PORT} %[src_port]`}
  default_backend app
backend app
  server app 127.0.0.1:${upstream}
`;
}

const HAPROXY_FORWARDED = `option forwardfor
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Proto https if { ssl_fc }
  http-request set-header X-Forwarded-Host %[req.hdr(Host)]`;
