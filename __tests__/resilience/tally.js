// @ts-check
/** GETs, PUTs and POSTs whose answers can be told from wrong ones, and what has come of them. */
import { createHash } from 'node:crypto';
import { send } from '../../bench/client.js';
import { itemBody } from '../../bench/payload.js';

const POST_SHARE = 0.2;
const PUT_SHARE = 0.2;
/** Less than what the proxy keeps for a retry. */
const MOST_PUT_BYTES = 150_000;

/** @typedef {Pick<import('../../bench/client.js').Call, 'agent' | 'port'>} Connection */

export class Tally {
  gets = 0;
  puts = 0;
  posts = 0;
  /** Their responses had begun, and were cut. */
  cut = 0;
  /** @type {string[]} what a GET or a PUT must not come to */
  wrong = [];
  /** @type {string[]} the ids of those that were answered 201 */
  confirmed = [];

  /** @param {Connection} connection */
  async sendOne(connection) {
    const dice = Math.random();
    if (dice < POST_SHARE) return this.#post(connection);
    if (dice < POST_SHARE + PUT_SHARE) return this.#put(connection);
    return this.#get(connection);
  }

  /** @param {Connection} connection */
  async #get(connection) {
    this.gets += 1;
    const number = this.gets;
    const wanted = itemBody(number);
    const result = await send({ ...connection, path: `/api/items/${number}` });
    this.#judge(`GET ${number}`, result, wanted.subarray(0, result.body.length), wanted.length);
  }

  /** @param {Connection} connection */
  async #put(connection) {
    this.puts += 1;
    const bytes = Math.floor(Math.random() ** 4 * MOST_PUT_BYTES);
    const body = Buffer.alloc(bytes, `thing ${this.puts};`);
    const path = `/api/things/${this.puts}`;
    const result = await send({ ...connection, path, method: 'PUT', body });
    const sha256 = createHash('sha256').update(body).digest('hex');
    const wanted = Buffer.from(JSON.stringify({ bytes, sha256 }));
    this.#judge(path, result, wanted.subarray(0, result.body.length), wanted.length);
  }

  /**
   * @param {string} name
   * @param {import('../../bench/client.js').Result} result
   * @param {Buffer} wanted so much of the right body as has come
   * @param {number} length of the right body
   */
  #judge(name, { status, whole, body, error }, wanted, length) {
    const isRight = status === 200 && body.equals(wanted);
    if (isRight && whole && body.length === length) return;
    if (isRight && !whole) this.cut += 1;
    else this.wrong.push(`${name}: ${status ?? error}, ${body.length} bytes, whole: ${whole}`);
  }

  /** @param {Connection} connection */
  async #post(connection) {
    this.posts += 1;
    const id = `order-${this.posts}`;
    const body = Buffer.from(JSON.stringify({ id }));
    const path = `/api/orders/${id}`;
    const { status } = await send({ ...connection, path, method: 'POST', body });
    if (status === 201) this.confirmed.push(id);
  }
}
