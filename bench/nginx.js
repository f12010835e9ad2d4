// @ts-check
/** nginx, as the backend and as one of the proxies: one process on one core, as the others. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SMALL } from './payload.js';
import { freePort, startProgram } from './processes.js';

/**
 * @param {string} nginx
 * @param {string} folder for its files
 * @param {import('./works.js').Work} work
 * @param {number} count of ports that it listens on
 */
export async function startNginxBackend(nginx, folder, work, count) {
  const ports = await Promise.all(Array.from({ length: count + 1 }, freePort));
  const [innerPort, ...outerPorts] = ports;
  const root = join(folder, 'backend');
  if (work.path.startsWith('/download/')) {
    mkdirSync(join(root, 'download'), { recursive: true });
    writeFileSync(join(root, work.path), work.answer);
  }
  const small = `default_type application/json; return 200 '${SMALL}';`;
  // a body is read whole before it is answered only where it might go on: to the inner server
  const config = `
    sendfile on;
    upstream inner { server 127.0.0.1:${innerPort}; keepalive 64; }
    server { listen 127.0.0.1:${innerPort}; location / { ${small} } }
    server {
      ${outerPorts.map((port) => `listen 127.0.0.1:${port} backlog=4096;`).join(' ')}
      root ${root};
      location = /small { ${small} }
      location = /sink {
        proxy_pass http://inner;
        proxy_pass_request_body off;
        proxy_set_header Content-Length '';
        add_header X-Received $request_length;
        ${POOLED}
      }
    }`;
  await startNginx(nginx, root, config, Number(outerPorts[0]));
  return outerPorts;
}

/**
 * @param {string} nginx
 * @param {string} folder
 * @param {string[]} targets
 */
export async function startNginxProxy(nginx, folder, targets) {
  const port = await freePort();
  const servers = targets.map((target) => `server ${new URL(target).host};`).join(' ');
  const config = `
    upstream backends { ${servers} keepalive 1024; keepalive_requests 1000000000; }
    server {
      listen 127.0.0.1:${port} backlog=4096;
      location / { proxy_pass http://backends; ${POOLED} }
    }`;
  const { pid, kill } = await startNginx(nginx, join(folder, 'proxy'), config, port);
  return { port, pid, kill };
}

/** By its documentation, connections to backends are kept alive with these. */
const POOLED = "proxy_http_version 1.1; proxy_set_header Connection '';";

/**
 * @param {string} nginx
 * @param {string} folder made, if it is not there
 * @param {string} servers of its configuration
 * @param {number} port one that it listens on
 */
async function startNginx(nginx, folder, servers, port) {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  mkdirSync(folder, { recursive: true });
  const config = join(folder, 'nginx.conf');
  writeFileSync(
    config,
    `daemon off;
    master_process off;
    pid ${folder}/nginx.pid;
    error_log stderr emerg;
    worker_rlimit_nofile 8192;
    events { worker_connections 4096; }
    http {
      ${temporary.map((name) => `${name}_temp_path ${folder}/${name};`).join(' ')}
      access_log off;
      client_max_body_size 0;
      keepalive_requests 1000000000;
      ${servers}
    }`,
  );
  return startProgram(nginx, ['-e', 'stderr', '-p', folder, '-c', config], port);
}
