import { expect, test } from 'vitest';
import { defaultBounds } from '../../src/broker/bounds.ts';
import { Router } from '../../src/broker/router.ts';

function createRouter(bounds: { deliveries: number; routedMessages: number }) {
  let dropped = 0;
  const router = new Router({ ...defaultBounds, ...bounds }, () => {
    dropped += 1;
  });
  return { router, dropped: () => dropped };
}

test('deliveries under way are bounded, and what waits keeps its order', () => {
  const { router } = createRouter({ deliveries: 4, routedMessages: 100 });
  const under: (() => void)[] = [];
  const seen: string[] = [];
  for (let subscriber = 0; subscriber < 2; subscriber++) {
    router.on('a/#', ({ topic }, done) => {
      if (subscriber === 0) seen.push(topic);
      under.push(done);
    });
  }
  const finished: string[] = [];
  const topics = Array.from({ length: 20 }, (_, index) => `a/${index}`);
  for (const topic of topics) router.emit({ topic }, () => finished.push(topic));
  expect(under).toHaveLength(4);
  expect(router.busy).toBe(true);
  expect(router.length).toBe(18);
  while (under.length > 0) {
    expect(under.length).toBeLessThanOrEqual(5);
    under.shift()!();
  }
  expect(seen).toEqual(topics);
  expect(finished).toEqual(topics);
  expect(router.busy).toBe(false);
});

test('a message that overtakes none waits behind those that do, though nobody wants it', () => {
  const { router } = createRouter({ deliveries: 1, routedMessages: 100 });
  const under: (() => void)[] = [];
  router.on('a', (_packet, done) => under.push(done));
  const finished: string[] = [];
  for (const topic of ['a', 'a', 'b']) router.emit({ topic }, () => finished.push(topic));
  expect(finished).toEqual([]);
  under.shift()!();
  expect(finished).toEqual(['a']);
  under.shift()!();
  expect(finished).toEqual(['a', 'a', 'b']);
});

test('100,000 messages that nobody wants do not exhaust the stack', () => {
  const { router } = createRouter({ deliveries: 1, routedMessages: 1_000_000 });
  let release!: () => void;
  router.on('a', (_packet, done) => {
    release = done;
  });
  let finished = 0;
  router.emit({ topic: 'a' }, () => {});
  for (let index = 0; index < 100_000; index++) router.emit({ topic: 'b' }, () => finished++);
  expect(finished).toBe(0);
  release();
  expect(finished).toBe(100_000);
});

test('100,000 messages that are delivered at once do not exhaust the stack', () => {
  const { router } = createRouter({ deliveries: 1, routedMessages: 1_000_000 });
  let release!: () => void;
  router.on('a', (_packet, done) => {
    release = done;
  });
  router.on('b', (_packet, done) => done());
  let finished = 0;
  router.emit({ topic: 'a' }, () => {});
  for (let index = 0; index < 100_000; index++) router.emit({ topic: 'b' }, () => finished++);
  release();
  expect(finished).toBe(100_000);
});

test('beyond the limit messages are dropped, and counted', () => {
  const { router, dropped } = createRouter({ deliveries: 1, routedMessages: 10 });
  router.on('a', () => {});
  let finished = 0;
  for (let index = 0; index < 20; index++) router.emit({ topic: 'a' }, () => finished++);
  expect(router.length).toBe(10);
  expect([dropped(), finished]).toEqual([9, 9]);
});
