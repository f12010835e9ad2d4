// A body that can be sent again, by itself: what is kept, what is counted, who waits for whom. What a
// client and its backends see of it is in replay-body.test.ts.
import { runInThisContext } from 'node:vm';
import { describe, expect, it } from '@jest/globals';
import { gets, read, setUp } from './support/replayed.js';
import { until } from './support/wait.js';

describe('a body', () => {
  it('is sent again from its start, as often as it is asked for', async () => {
    const { req, body, used } = setUp();
    const first = read(body.open());
    req.push('hello ');
    await gets(first, 'hello ');

    const second = read(body.open());
    await gets(second, 'hello ');
    req.push('world');
    req.push(null);
    await gets(second, 'hello world', true);

    const third = read(body.open());
    await gets(third, 'hello world', true);
    expect(first.text()).toBe('hello ');
    expect([body.replayable, used()]).toEqual([true, 11]);
  });

  it('is kept up to so many bytes, and not one more', async () => {
    const { req, body, used } = setUp({ maxBytes: 10 });
    const stream = read(body.open());

    req.push('1234567890');
    await gets(stream, '1234567890');
    expect([body.replayable, used()]).toEqual([true, 10]);
    req.push('x');
    await gets(stream, '1234567890x');
    expect([body.replayable, used()]).toEqual([false, 0]);
  });

  it('is kept as long as all of them together are not too long', async () => {
    const { req, body, kept, used } = setUp({ maxBytes: 10, total: 10 });
    kept.take(6);
    const stream = read(body.open());

    req.push('1234');
    await gets(stream, '1234');
    expect([body.replayable, used()]).toEqual([true, 10]);
    req.push('5');
    await gets(stream, '12345');
    expect([body.replayable, used()]).toEqual([false, 6]);
  });

  it.each([
    { maxBytes: 0, length: undefined, counted: 0 },
    { maxBytes: 10, length: 11, counted: 0 },
    { maxBytes: 10, length: 10, counted: 3 },
    { maxBytes: 10, length: undefined, counted: 3 },
  ])('is kept by what it says of its length: %p', async ({ maxBytes, length, counted }) => {
    const { req, body, used } = setUp({ maxBytes, ...(length !== undefined && { length }) });
    expect(body.replayable).toBe(true); // nothing was sent
    const stream = read(body.open());

    req.push('abc');
    await gets(stream, 'abc');
    expect([body.replayable, used()]).toEqual([counted > 0, counted]);
  });

  it('is let go when no attempt will follow: what was sent, and the rest as it is sent', async () => {
    const { req, body, used } = setUp();
    read(body.open());
    req.push('a'.repeat(60));
    await until(() => used() === 60);

    const stream = body.open(); // nothing of it is read yet
    body.release();
    expect([body.replayable, used()]).toEqual([true, 60]);
    const reading = read(stream);
    await gets(reading, 'a'.repeat(60));
    expect([body.replayable, used()]).toEqual([false, 0]);
    req.push('b');
    req.push(null);
    await gets(reading, `${'a'.repeat(60)}b`, true);
    expect(used()).toBe(0);
  });

  it('is let go at once of what was sent already', async () => {
    const { req, body, used } = setUp();
    const reading = read(body.open());
    req.push('abc');
    await gets(reading, 'abc');

    body.release();
    expect([body.replayable, used()]).toEqual([false, 0]);
    body.release();
    expect(used()).toBe(0);
  });

  it('is kept in few pieces, however many it comes in', async () => {
    const { req, body, used } = setUp({ maxBytes: 100_000, total: 100_000 });
    const text = Array.from({ length: 5000 }, (_, i) => String(i % 10)).join('');
    const first = read(body.open());
    for (const byte of text) {
      req.push(byte);
      await Promise.resolve();
    }
    await gets(first, text);
    const big = 'B'.repeat(1024);
    req.push(big);
    await gets(first, text + big);
    req.push('z');
    req.push('y');
    await gets(first, `${text}${big}zy`);

    const second = read(body.open());
    await gets(second, `${text}${big}zy`);
    // Two blocks of 4096, what is as long as a quarter of one by itself, and another block.
    expect(second.chunks.map(({ length }) => length)).toEqual([4096, 904, 1024, 2]);
    expect(used()).toBe(6026);
  });
});

describe('who waits for whom', () => {
  it('is told once for each time, and by `waiting`', async () => {
    const { req, body, told } = setUp();
    expect(body.waiting).toBe(false);
    const reading = read(body.open());
    await until(() => body.waiting);
    expect(told).toEqual(['waiting']);

    req.push('a');
    await gets(reading, 'a');
    await until(() => body.waiting);
    expect(told).toEqual(['waiting', 'flowing', 'waiting']);
    req.push(null);
    await gets(reading, 'a', true);
    expect([body.waiting, ...told]).toEqual([false, 'waiting', 'flowing', 'waiting', 'flowing']);
  });

  it('ends with the attempt', async () => {
    const { body, told, req } = setUp();
    const stream = body.open();
    read(stream);
    await until(() => body.waiting);

    body.shut();
    expect([body.waiting, stream.destroyed, req.isPaused()]).toEqual([false, true, true]);
    expect(told).toEqual(['waiting', 'flowing']);
    body.shut();
    expect(told).toHaveLength(2);
  });

  it('is nobody while there is something to send again', async () => {
    const { req, body, told } = setUp();
    const first = read(body.open());
    req.push('abc');
    req.push(null);
    await gets(first, 'abc', true);
    told.length = 0;

    await gets(read(body.open()), 'abc', true);
    expect(told).toEqual([]);
  });

  it('holds the client back while nobody asks', async () => {
    const { req, body } = setUp();
    expect(req.isPaused()).toBe(true);
    const stream = body.open();
    req.push('abc');
    await until(() => req.readableLength === 3);
    expect(req.isPaused()).toBe(true);

    await gets(read(stream), 'abc');
    await until(() => body.waiting);
    // Nor may somebody else set it flowing, until it is wanted.
    body.shut();
    req.resume();
    req.push('def');
    await until(() => req.isPaused());
    await gets(read(body.open()), 'abcdef');
  });
});

describe('bytes that come though nobody has asked', () => {
  it('are not lost: somebody else has set the request flowing', async () => {
    const { req, body, used } = setUp();
    req.emit('data', Buffer.from('early '));
    expect([used(), body.replayable]).toEqual([0, true]);

    const reading = read(body.open());
    req.push('late');
    await gets(reading, 'early late');
    expect(used()).toBe(10);
    await gets(read(body.open()), 'early late');
  });

  it('cut the request when they are text, or far too many', async () => {
    const real = runInThisContext('process') as NodeJS.Process;
    const heard: string[] = [];
    const listen = (warning: Error & { code?: string }): void =>
      void heard.push(warning.code ?? '');
    real.on('warning', listen);
    for (const make of [
      ({ req }: ReturnType<typeof setUp>) => req.emit('data', 'text'),
      ({ req }: ReturnType<typeof setUp>) => {
        for (let i = 0; i < 3; i += 1) req.emit('data', Buffer.alloc(1_048_576));
      },
    ]) {
      const set = setUp();
      make(set);
      expect(set.req.destroyed).toBe(true);
    }
    const within = setUp();
    within.req.emit('data', Buffer.alloc(1_048_576));
    within.req.emit('data', Buffer.alloc(1));
    expect(within.req.destroyed).toBe(false);

    await until(() => heard.length === 2);
    real.off('warning', listen);
    expect(heard).toEqual(['TINY_PROXY_BODY', 'TINY_PROXY_BODY']);
  });

  it('come from where they are wanted again after a pause of somebody else’s', async () => {
    const { req, body } = setUp();
    const reading = read(body.open());
    await until(() => body.waiting);

    req.pause();
    req.push('abc');
    await gets(reading, 'abc');
  });
});
