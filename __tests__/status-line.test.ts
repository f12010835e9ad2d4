// What undici is shown of a backend's bytes, and what is known of the final head, however they are cut
// into chunks. On the wire it is in raw-responses.test.ts.
import type { Socket } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { StatusLine } from '../src/transport/status-line.js';

const CONTINUE = 'HTTP/1.1 100 Continue\r\nX: 1\r\n\r\n';
const HINT = 'HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n';
const OK = 'HTTP/1.1 200 Fine \xe9\r\nContent-Length: 24\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n';

/** A socket from which these chunks are read, one by one. */
function socketOf(chunks: readonly Buffer[]): Socket {
  const rest = [...chunks];
  return { read: () => rest.shift() ?? null } as unknown as Socket;
}

function shown(statusLine: StatusLine, bytes: string, cuts: readonly number[]): string {
  const edges = [0, ...cuts, bytes.length];
  const chunks = edges
    .slice(1)
    .map((end, i) => Buffer.from(bytes.slice(edges[i], end), 'latin1'))
    .filter(({ length }) => length > 0);
  const socket = socketOf(chunks);
  statusLine.watch(socket);
  statusLine.expect();
  return chunks.map(() => (socket.read() as Buffer).toString('latin1')).join('');
}

/** All ways to cut it into three, and into single bytes. */
function* allCuts(length: number): Generator<number[]> {
  yield Array.from({ length: length - 1 }, (_, i) => i + 1);
  for (let first = 0; first < length; first += 1)
    for (let second = first; second < length; second += 1) yield [first, second];
}

describe('of a response, in whatever chunks it comes', () => {
  it.each<[name: string, before: string, are100: boolean[]]>([
    ['nothing comes before it', '', []],
    ['a 100 comes before it', CONTINUE, [true]],
    ['an empty line comes before it', '\r\n', []],
    ['a 103 and a 100 come before it', HINT + CONTINUE, [false, true]],
    [
      'a 100, an empty line and a 102 come before it',
      `${CONTINUE}\r\nHTTP/1.0 102 P\r\n\r\n`,
      [true, false],
    ],
    ['a 103 with odd line ends comes before it', 'HTTP/1.1 103 E\r\nX: \r\r\n\r\r\n\r\n', [false]],
  ])('where %s: 100 is shown as 102, and the rest as it is', (_name, before, are100) => {
    const expected = [
      before.replaceAll(' 100 ', ' 102 ') + OK,
      '1.1',
      'Fine \xe9',
      ...are100,
      false,
    ];
    const others: unknown[] = [];
    for (const cuts of allCuts(before.length + OK.length)) {
      const line = new StatusLine();
      const seen = [shown(line, before + OK, cuts), line.httpVersion, line.reason];
      const told = [...are100, false].map(() => line.was100());

      if ([...seen, ...told].join() !== expected.join()) others.push([cuts, ...seen, ...told]);
    }
    expect(others.slice(0, 3)).toEqual([]);
  });

  it('a line without end is too long once it is longer than a whole head may be', () => {
    const line = new StatusLine();

    shown(line, `HTTP/1.1 200 ${'a'.repeat(20_000)}`, [100, 18_000]);

    expect(line.tooLong).toBe(true);
  });

  it('what was known of the last one is forgotten', () => {
    const line = new StatusLine();
    shown(line, HINT.slice(0, -1), []);

    shown(line, 'HTTP/1.0 404 No\r\n\r\n', []);

    expect([line.httpVersion, line.reason, line.tooLong]).toEqual(['1.0', 'No', false]);
  });
});
