import type { NextFunction, Request, Response } from 'express';
import type { TinyProxy } from '../index.js';
import { type AccessFunction, compileAccess } from './access.js';
import { ASSETS, HEADERS } from './assets.js';
import { checkStatusPage } from './check-options.js';
import { type Action, Drains, isFromPage } from './drains.js';
import { lastSeq, Recorder } from './recorder.js';
import { type Followed, reportOf, type StatusReport } from './report.js';
import { Streams } from './streams.js';

/** Of `statusPage()`. */
export interface StatusPageOptions {
  /**
   * Who may see the page: a function that answers `true` or `false`, or a promise of one; whoever
   * else is refused, also where it throws. `'loopback'`: who comes from this machine, by a loopback
   * name, and through no other proxy. Required.
   */
  access: 'loopback' | AccessFunction;
  /** `true`: the page can drain backends, and put back what it has drained. Default `false`. */
  actions?: boolean;
}

/** For `app.use('/_proxy', page)`. */
export interface StatusPage {
  (req: Request, res: Response, next: NextFunction): void;
  /** Ends it: its streams, its listeners on the proxies, and what it has drained. */
  close(): void;
}

interface Route {
  readonly methods: readonly string[];
  answer(req: Request, res: Response): void;
}

/**
 * A page that shows what one proxy, or several by their names, do now. It keeps bounded records from
 * now on, and has no timer while nobody looks.
 *
 * @throws {TypeError} that names what is wrong, its value and a right one.
 */
export function statusPage(
  proxies: TinyProxy | Record<string, TinyProxy>,
  options: StatusPageOptions,
): StatusPage {
  const named = checkStatusPage(proxies, options);
  const page = new Page(named, options.actions ?? false);
  const mayAccess = compileAccess(options.access);
  function serve(req: Request, res: Response, next: NextFunction): void {
    const route = page.routes.get(pathOf(req.url));
    if (route === undefined) return next();
    const answer = (allowed: boolean): void => {
      if (!res.headersSent) answerTo(req, res, allowed ? route : null);
    };
    const allowed = mayAccess(req);
    if (typeof allowed === 'boolean') answer(allowed);
    else allowed.then(answer).catch(next);
  }
  return Object.assign(serve, { close: () => page.close() });
}

const pathOf = (url: string): string => url.split('?', 1)[0]!;

/** Null: refused, without a word about what is here. */
function answerTo(req: Request, res: Response, route: Route | null): void {
  for (const [name, value] of Object.entries(HEADERS)) res.setHeader(name, value);
  if (route === null) return text(res, 403, 'Forbidden\n');
  if (!route.methods.includes(req.method)) {
    res.setHeader('Allow', route.methods.join(', '));
    return text(res, 405, 'Method Not Allowed\n');
  }
  route.answer(req, res);
}

function text(res: Response, status: number, body: string): void {
  send(res, status, 'text/plain; charset=utf-8', body);
}

/** To HEAD, Node sends the head alone. */
function send(res: Response, status: number, type: string, body: string | Buffer): void {
  res.statusCode = status;
  res.setHeader('Content-Type', type);
  res.setHeader('Content-Length', Buffer.byteLength(body));
  res.end(body);
}

const READ = ['GET', 'HEAD'];

class Page {
  readonly routes: ReadonlyMap<string, Route>;
  readonly #followed: Followed[];
  readonly #unfollow: (() => void)[] = [];
  readonly #drains = new Drains();
  readonly #streams: Streams;
  /** What the last tick has told. */
  #told = 0;

  constructor(
    proxies: Record<string, TinyProxy>,
    private readonly actions: boolean,
  ) {
    this.#streams = new Streams({ state: () => this.#report(0), tick: () => this.#news() });
    this.#followed = Object.entries(proxies).map(([name, proxy]) => {
      const { recorder, unfollow } = Recorder.follow(proxy, () => this.#onNews());
      this.#unfollow.push(unfollow);
      return { name, proxy, recorder };
    });
    const files = [...ASSETS].map(([path, { type, body }]): [string, Route] => {
      const sendFile: Route['answer'] = (_req, res) => send(res, 200, type, body);
      return [path, { methods: READ, answer: path === '/' ? atItsOwnPath(sendFile) : sendFile }];
    });
    this.routes = new Map([
      ...files,
      ['/status.json', { methods: READ, answer: (_req, res) => this.#sendReport(res) }],
      [
        '/events',
        { methods: READ, answer: (req, res) => this.#streams.open(res, req.method === 'HEAD') },
      ],
      ...(actions ? [this.#action('drain'), this.#action('undrain')] : []),
    ]);
    this.#onNews(); // they may be closed by now
  }

  close(): void {
    this.#streams.end();
    this.#drains.end();
    for (const unfollow of this.#unfollow.splice(0)) unfollow();
  }

  #onNews(): void {
    if (this.#followed.every(({ recorder }) => recorder.closed)) this.#streams.end();
    else this.#streams.news();
  }

  #report(since: number): StatusReport {
    return { actions: this.actions, ...reportOf(this.#followed, since, this.#drains.has) };
  }

  #news(): StatusReport {
    const since = this.#told;
    this.#told = lastSeq();
    return this.#report(since);
  }

  #sendReport(res: Response): void {
    const body = `${JSON.stringify(this.#report(0), null, 2)}\n`;
    send(res, 200, 'application/json; charset=utf-8', body);
  }

  /** `POST drain?proxy=orders&backend=http://127.0.0.1:8081`, without a body that a parser could eat. */
  #action(action: Action): [string, Route] {
    const answer: Route['answer'] = (req, res) => {
      if (!isFromPage(req, action)) return text(res, 403, 'Forbidden\n');
      const query = new URLSearchParams(req.url.slice(pathOf(req.url).length));
      const followed = this.#followed.find(({ name }) => name === query.get('proxy'));
      const status = followed && this.#drains.act(action, followed, query.get('backend') ?? '');
      if (status === 204) return void res.writeHead(204).end();
      if (status === 409) return text(res, 409, 'It was not drained here.\n');
      text(res, 404, 'No such backend.\n');
    };
    return [`/${action}`, { methods: ['POST'], answer }];
  }
}

/** The page's files are asked for relative to it, so its own path has to end with a slash. */
function atItsOwnPath(answer: Route['answer']): Route['answer'] {
  return function answerAtItsOwnPath(req, res) {
    const [, last, query = ''] = /([^/?]*)(\?.*)?$/s.exec(req.originalUrl) ?? [];
    if (!last) return answer(req, res);
    res.writeHead(308, { Location: `./${last}/${query}` }).end();
  };
}
