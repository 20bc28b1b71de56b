import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Gate } from '../../src/broker/gate.ts';
import { Intake } from '../../src/broker/intake.ts';
import { createSystemClock } from '../../src/platform/system-clock.ts';

const open = { enter() {}, leave() {}, worked() {}, reopen() {} } as unknown as Gate;
const message = { topic: 'a', payload: new Uint8Array(1), receivedAt: 0 };

function blockedIntake() {
  let go!: () => void;
  const blocked = new Promise<void>((resolve) => {
    go = resolve;
  });
  const parts = { ingest: () => blocked, clock: createSystemClock(), gate: open, failed() {} };
  return { intake: new Intake(parts), go };
}

test('a thousand batches of one message that wait for the disk take little memory', async () => {
  const { intake, go } = blockedIntake();
  const before = process.memoryUsage();
  let settled = 0;
  for (let n = 0; n < 1_000; n++) {
    intake.accept(undefined, message, () => settled++);
    // Whatever is gathered is handed on at the end of a turn.
    await turn();
    await turn();
  }
  const after = process.memoryUsage();
  expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(5_000_000);
  go();
  await intake.idle();
  expect(settled).toBe(1_000);
});

test('all who wait are told in order, whatever the size of the batch and of the one before', async () => {
  const { intake, go } = blockedIntake();
  go();
  const told: number[] = [];
  let next = 0;
  for (const size of [1, 7, 9, 5_000, 3, 4_096, 1, 100]) {
    for (let n = 0; n < size; n++) {
      const mine = next++;
      if (mine % 3 === 0) intake.pass(() => told.push(mine));
      else intake.accept(undefined, message, () => told.push(mine));
    }
    await intake.idle();
  }
  expect(told).toEqual(Array.from({ length: next }, (_, n) => n));
});
