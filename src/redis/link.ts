/** What is called of a client of `redis`, version 4, 5 or 6. */
interface Connection {
  readonly isOpen: boolean;
  readonly isReady: boolean;
  readonly options?: { socket?: object } | undefined;
  connect(): Promise<unknown>;
  duplicate(overrides: object): Connection;
  subscribe(channel: string, listener: (message: unknown) => void): Promise<unknown>;
  sendCommand(args: string[]): Promise<unknown>;
  on(event: string, listener: (told: unknown) => void): unknown;
  off(event: string, listener: (told: unknown) => void): unknown;
  /** From 5 on. */
  destroy?(): void;
  disconnect?(): Promise<void>;
}

export interface LinkEvents {
  onMessage(message: unknown): void;
  /** `trouble`: why it is out of reach; null: it is back. */
  onChange(trouble: string | null): void;
}

/** An answer that takes longer is none. */
const ANSWER_MS = 1000;
/** For a connection of our own to stand and to be subscribed. */
const JOIN_MS = 5000;
/** From the loss of that connection to the next one. */
const REJOIN_MS = 500;
/** Commands without an answer; the others are not sent. */
const MOST_WAITING = 32;

/**
 * Redis, which may be slow or gone at any time. Commands go by the user's client, but only while it
 * is connected, so that none is queued there to be sent when its time is over; messages come by a
 * connection of our own, which is made anew whenever it is lost.
 */
export class Link {
  readonly #client: Connection;
  readonly #listeners: [event: string, listener: (told: unknown) => void][];
  #subscriber: Connection | null = null;
  /** Its socket is connected. */
  #standing = false;
  #subscribed = false;
  #joining: Promise<void> = Promise.resolve();
  #rejoin: NodeJS.Timeout | undefined;
  /** Each command without an answer, by its timer. */
  readonly #waiting = new Set<NodeJS.Timeout>();
  /** How many of them have taken too long. */
  #late = 0;
  /** What is wrong, by what it was noticed at. */
  readonly #troubles = new Map<string, string>();
  #inTrouble = false;
  #closed = false;

  constructor(
    client: object,
    private readonly channel: string,
    private readonly events: LinkEvents,
  ) {
    this.#client = client as Connection;
    this.#listeners = [
      ['error', (error) => this.#note('client', textOf(error))],
      ['end', () => this.#onClientEnd()],
      ['ready', () => this.#onClientReady()],
    ];
    for (const [event, listener] of this.#listeners) this.#client.on(event, listener);
    this.#join();
  }

  /** Messages come, and nothing is known to be wrong. */
  get joined(): boolean {
    return this.#subscribed && this.#client.isReady && this.#troubles.size === 0;
  }

  /** Resolves with the answer; with `undefined` where there is none. */
  send(args: [command: string, ...args: string[]]): Promise<unknown> {
    const isSendable = this.#client.isReady && this.#late === 0 && !this.#closed;
    if (!isSendable || this.#waiting.size >= MOST_WAITING) return Promise.resolve(undefined);
    const [command] = args;
    return new Promise((resolve) => {
      let isLate = false;
      const giveUp = (): void => {
        if (!this.#waiting.has(timer)) return;
        isLate = true;
        this.#late++;
        this.#note(command, `no answer within ${ANSWER_MS} ms`);
        resolve(undefined);
      };
      // A turn later: where this process was busy, the answer has come, and was not read yet.
      const timer = setTimeout(() => setImmediate(giveUp), ANSWER_MS);
      timer.unref();
      this.#waiting.add(timer);
      const settle = (answer: unknown, trouble: string | null): void => {
        clearTimeout(timer);
        this.#waiting.delete(timer);
        if (isLate) this.#late--;
        this.#note(command, trouble);
        resolve(answer);
      };
      // Async: nothing is thrown here, whatever a client is like.
      const send = async (): Promise<unknown> => this.#client.sendCommand(args);
      send().then(
        (answer) => settle(answer, null),
        (error) => settle(undefined, textOf(error)),
      );
    });
  }

  /** The user's client stays as it is. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const [event, listener] of this.#listeners) this.#client.off(event, listener);
    clearTimeout(this.#rejoin);
    for (const timer of this.#waiting) clearTimeout(timer);
    this.#waiting.clear();
    this.#drop();
    await this.#joining;
  }

  #join(): void {
    this.#drop();
    clearTimeout(this.#rejoin);
    if (this.#closed || !this.#client.isOpen) return;
    const { options } = this.#client;
    // It is not to connect by itself: its timer would outlive us, and it could give up for good.
    const socket = { ...options?.socket, reconnectStrategy: false };
    const subscriber = this.#client.duplicate({ socket });
    this.#subscriber = subscriber;
    const lost = (why: unknown): void => this.#onLost(subscriber, textOf(why));
    for (const event of ['error', 'end']) subscriber.on(event, lost);
    // A turn later: then what it has to say at first is on its way, and can be called off.
    subscriber.on('connect', () => setImmediate(() => this.#onStanding(subscriber)));
    const subscribe = async (): Promise<void> => {
      await subscriber.connect();
      await subscriber.subscribe(this.channel, this.events.onMessage);
      if (this.#subscriber !== subscriber) return;
      this.#subscribed = true;
      this.#note('subscription', null);
    };
    this.#joining = new Promise((resolve) => {
      const limit = setTimeout(() => {
        lost(new Error(`not connected within ${JOIN_MS} ms`));
        resolve();
      }, JOIN_MS);
      limit.unref();
      const settle = (): void => {
        clearTimeout(limit);
        resolve();
      };
      subscribe().catch(lost).finally(settle);
    });
  }

  /** It can be destroyed from now on; before, its socket would be left. */
  #onStanding(subscriber: Connection): void {
    if (this.#subscriber === subscriber) this.#standing = true;
    else destroy(subscriber);
  }

  #onLost(subscriber: Connection, why: string): void {
    if (this.#subscriber !== subscriber) return;
    this.#drop();
    this.#note('subscription', why);
    this.#rejoin = setTimeout(() => this.#join(), REJOIN_MS);
    this.#rejoin.unref();
  }

  #drop(): void {
    const subscriber = this.#subscriber;
    if (subscriber !== null && this.#standing) destroy(subscriber);
    this.#subscriber = null;
    this.#subscribed = false;
    this.#standing = false;
  }

  /** It was away, and so, perhaps, was the peer of our own connection, which need not have heard. */
  #onClientReady(): void {
    this.#note('client', null);
    this.#join();
  }

  /** The user has closed it: no connection of ours is to keep the process alive. */
  #onClientEnd(): void {
    this.#drop();
    clearTimeout(this.#rejoin);
    this.#note('client', 'the client is closed');
  }

  #note(source: string, trouble: string | null): void {
    if (this.#closed) return;
    if (trouble === null) this.#troubles.delete(source);
    else this.#troubles.set(source, trouble);
    if (this.#inTrouble && this.#subscribed && this.#troubles.size === 0) {
      this.#inTrouble = false;
      this.events.onChange(null);
    } else if (!this.#inTrouble && this.#troubles.size > 0) {
      this.#inTrouble = true;
      this.events.onChange(trouble);
    }
  }
}

function destroy(connection: Connection): void {
  if (!connection.isOpen) return;
  if (connection.destroy !== undefined) connection.destroy();
  else connection.disconnect?.().catch(() => {}); // it is gone already
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : 'the connection is closed';
}
