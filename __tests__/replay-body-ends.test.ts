// A body that can be sent again, by itself: taken whole, counted, and over.
import { describe, expect, it } from '@jest/globals';
import { KeptBytes } from '../src/replay-body.js';
import { gets, read, setUp } from './support/replayed.js';

describe('what is kept', () => {
  it('is counted up to its limit, and given back', () => {
    const kept = new KeptBytes(10);

    expect([kept.take(4), kept.take(7), kept.take(6), kept.take(1)]).toEqual([
      true,
      false,
      true,
      false,
    ]);
    kept.giveBack(5);
    expect([kept.take(6), kept.take(5)]).toEqual([false, true]);
  });
});

describe('a body that is here already', () => {
  it('is taken whole, counted until it is let go', () => {
    const { req, body, used } = setUp({ length: 5 });
    req.push('hel');
    req.push('lo');

    expect(body.takeWhole(5)?.toString()).toBe('hello');
    expect(used()).toBe(5);
    body.release();
    expect(used()).toBe(0);
    body.release();
    expect(used()).toBe(0);
  });

  it('is not, where some of it is missing, or there is no room', () => {
    const short = setUp({ length: 5 });
    short.req.push('hell');
    expect(short.body.takeWhole(5)).toBeNull();
    expect(short.used()).toBe(0);

    const full = setUp({ length: 5, total: 4 });
    full.req.push('hello');
    expect(full.body.takeWhole(5)).toBeNull();
    expect(full.req.readableLength).toBe(5);
  });

  it('is not counted where nothing is kept', () => {
    const { req, body, used } = setUp({ maxBytes: 0, length: 5, total: 1 });
    req.push('hello');

    expect(body.takeWhole(5)?.toString()).toBe('hello');
    expect(used()).toBe(0);
    body.release();
    expect(used()).toBe(0);
  });

  it('is taken with what has come early', () => {
    const { req, body } = setUp({ length: 5 });
    req.emit('data', Buffer.from('hel'));
    req.push('lo');

    expect(body.takeWhole(5)?.toString()).toBe('hello');
  });
});

describe('a request that is over', () => {
  it('is read to its end, and nothing of it is kept', async () => {
    const { req, body, used } = setUp();
    const stream = body.open();
    const reading = read(stream);
    req.push('abc');
    await gets(reading, 'abc');

    body.discard();
    expect([used(), stream.destroyed]).toEqual([0, true]);
    expect(['data', 'end', 'resume', 'pause'].map((event) => req.listenerCount(event))).toEqual([
      0, 0, 0, 0,
    ]);
    const ended = new Promise((resolve) => req.once('end', resolve));
    req.push('the rest');
    req.push(null);
    await ended;
    expect([reading.text(), used()]).toEqual(['abc', 0]);
  });
});
