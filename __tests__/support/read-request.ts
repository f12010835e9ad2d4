import type { IncomingMessage } from 'node:http';

/** A request with these lines, as Node hands it on. */
export function request(lines: string[], httpVersion = '1.1', server?: object): IncomingMessage {
  const headers: Record<string, string> = {};
  const rawHeaders = lines.flatMap((line) => {
    const colon = line.indexOf(':');
    const [written, value] = [line.slice(0, colon), line.slice(colon + 1).trim()];
    const name = written.toLowerCase();
    const comma = name === 'cookie' ? '; ' : ', ';
    // Of what is single it keeps the first.
    if (!Object.hasOwn(headers, name)) headers[name] = value;
    else if (name !== 'authorization') headers[name] += comma + value;
    return [written, value];
  });
  return { headers, rawHeaders, httpVersion, socket: { server } } as unknown as IncomingMessage;
}
