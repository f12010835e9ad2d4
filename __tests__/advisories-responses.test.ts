// What backends have done to other clients and proxies, by the advisory that tells of it.
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { startProxyWith } from './support/proxy.js';
import { sendRaw, startRawBackend, valuesOf } from './support/raw.js';
import { get } from './support/raw-requests/row.js';
import { delivery, until } from './support/wait.js';
import { startWatched } from './support/watched.js';

describe('a backend', () => {
  it('cannot have its body unpacked, however often it was packed: CVE-2026-22036', async () => {
    const body = gzipSync('hello');
    const coding = Array(1500).fill('gzip').join(', ');
    const head = `HTTP/1.1 200 OK\r\nContent-Encoding: ${coding}\r\nContent-Length: ${body.length}\r\n\r\n`;
    const send = await startWatched({}, {}, [{ write: head }, { write: body }]);

    const { answer } = await send(get('/'));

    expect(answer.body).toEqual(body);
    expect(valuesOf(answer, 'content-encoding')).toEqual([coding]);
  });

  it('cannot put an answer in front of the next one: CVE-2026-48931, CVE-2026-6733', async () => {
    const poison = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison';
    let answers = 0;
    const backend = await startRawBackend((socket) => {
      socket.on('data', () => {
        answers += 1;
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
        setImmediate(() => socket.write(poison));
      });
      socket.on('error', () => {});
    });
    const { port, proxy } = await startProxyWith({ target: backend.url });

    for (let i = 1; i <= 30; i += 1) {
      const { status, body } = await sendRaw(port, get(`/${i}`));
      expect([status, body.toString()]).toEqual([200, 'ok']);
      await until(() => answers === i && proxy.status().inFlight === 0);
    }
  });

  it('cannot break a tunnel by a frame of 2^64 bytes: CVE-2026-1528, CVE-2026-2229', async () => {
    const frame = Buffer.from([0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3]);
    const head =
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
      'Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99\r\n\r\n';
    const send = await startWatched({ ws: '/' }, {}, [
      { write: head },
      { write: frame },
      { end: true },
    ]);
    // Makes the proxy known to the server; a plain request gets no 101.
    await send(get('/first'));

    const { answer } = await send([
      { write: get('/', 'Connection: Upgrade', 'Upgrade: websocket') },
      { waitFor: (arrived) => arrived.includes(frame) },
    ]);

    expect(answer.rawText).toMatch(/^HTTP\/1.1 101 /);
    expect(answer.raw.subarray(-frame.length)).toEqual(frame);
  });

  it('cannot send its client elsewhere with what it knows of it: CVE-2023-45143', async () => {
    const other = await startRawBackend('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    const send = await startWatched(
      {},
      {},
      `HTTP/1.1 302 Found\r\nLocation: ${other.url}/\r\nContent-Length: 0\r\n\r\n`,
    );

    const { statuses, requests } = await send(get('/', 'Cookie: a=1', 'Authorization: Basic eA=='));
    await delivery();

    // The redirect is the client's to follow.
    expect(statuses).toEqual([302]);
    expect(valuesOf(requests[0]!, 'cookie')).toEqual(['a=1']);
    expect(other.connections).toBe(0);
  });
});
