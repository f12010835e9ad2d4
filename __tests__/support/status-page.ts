// Apps with a status page, and readers of its event stream.
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import type express from 'express';
import type { TinyProxy, TinyProxyOptions } from '../../src/index.js';
import {
  type StatusPage,
  type StatusPageOptions,
  type StatusReport,
  statusPage,
} from '../../src/status-page/index.js';
import { closeAfterTest } from './cleanup.js';
import { get, open, quietProxy, type RunningApp, startProxy } from './proxy.js';
import { until } from './wait.js';

/** One message of an event stream. */
export interface Message {
  event: string;
  data: StatusReport;
}

/** Reads an event stream, as it comes. */
export class Reader {
  readonly messages: Message[] = [];
  ended = false;

  constructor(stream: Readable) {
    let rest = '';
    stream.on('data', (chunk: Buffer) => {
      const blocks = (rest + chunk).split('\n\n');
      rest = blocks.pop() ?? '';
      for (const block of blocks) {
        const event = /^event: (.*)$/m.exec(block)?.[1] ?? '';
        this.messages.push({ event, data: JSON.parse(/^data: (.*)$/m.exec(block)?.[1] ?? '{}') });
      }
    });
    stream.on('error', () => {}); // cut
    stream.on('close', () => {
      this.ended = true;
    });
  }

  /** The first message for which it holds, of those there are and those to come. */
  async first(holds: (message: Message) => boolean, what?: string): Promise<Message> {
    await until(() => this.messages.some(holds), what ?? holds.toString());
    return this.messages.find(holds)!;
  }
}

/** A page that runs, at `/_proxy`, before its proxy. */
export interface RunningPage extends RunningApp {
  proxy: TinyProxy;
  page: StatusPage;
  /** `http://127.0.0.1:port/_proxy/` */
  at: string;
  report(): Promise<StatusReport>;
  /** Opens the event stream. */
  listen(): Promise<{ head: IncomingMessage; reader: Reader }>;
}

/** A page that anybody on this machine may see, closed after the test. */
export function pageOf(
  proxies: Parameters<typeof statusPage>[0],
  options: Partial<StatusPageOptions> = {},
): StatusPage {
  const page = statusPage(proxies, { access: 'loopback', ...options });
  closeAfterTest(() => page.close());
  return page;
}

/** Starts an app with a page of one proxy; `before` mounts what comes first. */
export async function startPage(
  proxyOptions: TinyProxyOptions,
  pageOptions: Partial<StatusPageOptions> = {},
  before: (app: express.Express) => void = () => {},
): Promise<RunningPage> {
  const proxy = quietProxy(proxyOptions);
  const page = pageOf(proxy, pageOptions);
  const running = await startProxy((app) => {
    before(app);
    app.use('/_proxy', page);
    app.use(proxy);
  });
  const at = `${running.url}/_proxy/`;
  return {
    ...running,
    ...{ proxy, page, at },
    report: async () => JSON.parse((await get(`${at}status.json`)).text),
    listen: () => listenAt(at),
  };
}

/** Opens the event stream of the page there. */
export async function listenAt(at: string): Promise<{ head: IncomingMessage; reader: Reader }> {
  const head = await open(`${at}events`).response;
  return { head, reader: new Reader(head) };
}
