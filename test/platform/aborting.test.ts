import fc from 'fast-check';
import { expect, test } from 'vitest';
import { onAbort } from '../../src/platform/aborting.ts';

test('whoever still waits when a signal is aborted is called once, and nobody else', () => {
  const step = fc.record({ begins: fc.boolean(), which: fc.nat() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const abort = new AbortController();
      const waiting: { n: number; end: () => void }[] = [];
      const called: number[] = [];
      for (const [n, { begins, which }] of steps.entries()) {
        if (begins || waiting.length === 0) {
          waiting.push({ n, end: onAbort(abort.signal, () => called.push(n)) });
        } else {
          const [ended] = waiting.splice(which % waiting.length, 1);
          ended!.end();
          // Twice is fine.
          ended!.end();
        }
      }
      abort.abort();
      abort.signal.dispatchEvent(new Event('abort'));
      expect(called.toSorted((a, b) => a - b)).toEqual(waiting.map(({ n }) => n));
    }),
  );
});

test('one who is called may end the wait of another', () => {
  const abort = new AbortController();
  const called: string[] = [];
  const ends: (() => void)[] = [];
  for (const name of ['a', 'b']) {
    const end = onAbort(abort.signal, () => {
      called.push(name);
      for (const each of ends) each();
    });
    ends.push(end);
  }
  abort.abort();
  expect(called).toHaveLength(1);
});
