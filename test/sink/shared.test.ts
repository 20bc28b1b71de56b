import { expect, test } from 'vitest';
import { createSystemClock } from '../../src/platform/system-clock.ts';
import { createShared } from '../../src/sink/shared.ts';
import { endless, failureOf } from './parts.ts';

test('work that hangs holds up an end for half a second only, and what is open is closed after it', async () => {
  let closed = 0;
  let goOn!: () => void;
  const hanging = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const open = async () => ({ close: async () => void closed++ });
  const shared = createShared(open, createSystemClock());
  const use = await shared.use(endless);
  const stop = new AbortController();
  let begun!: () => void;
  const working = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const work = async (): Promise<void> => {
    begun();
    await hanging;
  };
  const running = failureOf(use.run(work, stop.signal));
  await working;
  stop.abort(new Error('Stopped.'));
  expect((await running).message).toBe('Stopped.');
  const began = performance.now();
  await use.end();
  expect(performance.now() - began).toBeLessThan(1_000);
  expect(closed).toBe(0);
  goOn();
  await (await shared.use(endless)).end();
  expect(closed).toBe(2);
});
