// A DNS server on 127.0.0.1 (UDP) that says what the test says.
import { createSocket, type RemoteInfo } from 'node:dgram';
import { promises as dns } from 'node:dns';
import { once as nextEvent } from 'node:events';
import { closeAfterTest } from './cleanup.js';

export interface Srv {
  name: string;
  port: number;
  priority?: number;
  weight?: number;
}

/** Of one name. */
export interface Records {
  A?: string[];
  AAAA?: string[];
  SRV?: Srv[];
}

const TYPES: Record<number, keyof Records> = { 1: 'A', 28: 'AAAA', 33: 'SRV' };
const NXDOMAIN = 3;
const SERVFAIL = 2;

/** One that runs; its records may be changed at any time. */
export class DnsServer {
  /** A name without any is NXDOMAIN; `'fail'`: SERVFAIL; `'silent'`: no answer. */
  zone: Record<string, Records | 'fail' | 'silent'> = {};
  /** `type name` of each. */
  readonly queries: string[] = [];
  readonly #socket = createSocket('udp4');
  port = 0;

  async start(): Promise<this> {
    this.#socket.on('message', (query, from) => this.#onQuery(query, from));
    this.#socket.bind(0, '127.0.0.1');
    await nextEvent(this.#socket, 'listening');
    this.port = this.#socket.address().port;
    closeAfterTest(() => this.#socket.close());
    return this;
  }

  /** Node's own, that asks this server, once. */
  resolver({ timeout = 5000 } = {}): dns.Resolver {
    const resolver = new dns.Resolver({ timeout, tries: 1 });
    resolver.setServers([`127.0.0.1:${this.port}`]);
    return resolver;
  }

  #onQuery(query: Buffer, from: RemoteInfo): void {
    const { name, end } = readName(query);
    const type = TYPES[query.readUInt16BE(end)] ?? 'A';
    this.queries.push(`${type} ${name}`);
    const found = this.zone[name];
    if (found === 'silent') return;
    const rcode = found === 'fail' ? SERVFAIL : found === undefined ? NXDOMAIN : 0;
    const answers = typeof found === 'object' ? dataOf(found, type) : [];
    const header = Buffer.from(query.subarray(0, 12));
    header.writeUInt16BE(0x8580 | rcode, 2);
    header.writeUInt16BE(answers.length, 6);
    header.writeUInt16BE(0, 8);
    header.writeUInt16BE(0, 10);
    const records = answers.map((data) => {
      const head = Buffer.alloc(12);
      head.writeUInt16BE(0xc00c, 0); // the name of the question
      query.copy(head, 2, end, end + 4);
      head.writeUInt16BE(data.length, 10);
      return Buffer.concat([head, data]);
    });
    const question = query.subarray(12, end + 4);
    this.#socket.send(Buffer.concat([header, question, ...records]), from.port, from.address);
  }
}

/** Starts one with these records. */
export async function startDns(zone: DnsServer['zone']): Promise<DnsServer> {
  return Object.assign(await new DnsServer().start(), { zone });
}

function readName(query: Buffer): { name: string; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at]!; length > 0; length = query[at]!) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.').toLowerCase(), end: at + 1 };
}

function dataOf({ A = [], AAAA = [], SRV = [] }: Records, type: keyof Records): Buffer[] {
  if (type === 'A') return A.map((address) => Buffer.from(address.split('.').map(Number)));
  if (type === 'AAAA') return AAAA.map(ipv6);
  return SRV.map(({ name, port, priority = 0, weight = 0 }) => {
    const numbers = Buffer.alloc(6);
    for (const [i, number] of [priority, weight, port].entries())
      numbers.writeUInt16BE(number, 2 * i);
    return Buffer.concat([numbers, writeName(name)]);
  });
}

function writeName(name: string): Buffer {
  const labels = name === '.' ? [] : name.split('.');
  const parts = labels.flatMap((label) => [Buffer.from([label.length]), Buffer.from(label)]);
  return Buffer.concat([...parts, Buffer.from([0])]);
}

/** Of the form `fd00::7`. */
function ipv6(address: string): Buffer {
  const [before = '', after = ''] = address.split('::');
  const groups = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
  const [head, tail] = [groups(before), groups(after)];
  const middle = new Array(8 - head.length - tail.length).fill(0);
  const bytes = Buffer.alloc(16);
  for (const [i, group] of [...head, ...middle, ...tail].entries())
    bytes.writeUInt16BE(group, 2 * i);
  return bytes;
}
