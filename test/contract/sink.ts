import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CloudEvent } from '../../src/event/event.ts';
import type { Connection, Sink } from '../../src/sink/sink.ts';
import { readingOf } from '../event/events.ts';
import { eventually } from '../services/child.ts';
import { endless, failureOf, withConnection } from '../sink/parts.ts';

/** The far side of a sink, as the suite needs it. Readings are known by their field `n`. */
export interface FarSide {
  readonly sink: Sink;
  /** The field `n` of all that has arrived, repeats included where the far side keeps them. */
  taken(): Promise<readonly number[]>;
  /** An event that it will never take. */
  readonly refused?: (n: number) => CloudEvent;
  /** Makes it unreachable, for connections that are open and for new ones. */
  gone?(): Promise<void>;
  back?(): Promise<void>;
  /** Makes it accept whatever comes and answer nothing. */
  hang?(): Promise<void>;
  resume?(): Promise<void>;
  stop(): Promise<void>;
}

/** What a kind cannot be tested for, and why. */
export interface Exceptions {
  readonly refuses?: string;
  readonly gone?: string;
  readonly hangs?: string;
}

/** Everything that `Sink` and `Connection` promise, tried on one kind of sink. */
export function sinkContract(
  name: string,
  start: () => Promise<FarSide>,
  exceptions: Exceptions = {},
): void {
  describe(`the sink ${name}`, () => {
    let far: FarSide;
    let next = 0;
    const batch = (count: number): CloudEvent[] =>
      Array.from({ length: count }, () => numbered(next++));
    const arrived = async (events: readonly CloudEvent[], deadlineMs = 5_000) =>
      await eventually(async () => {
        const taken = await far.taken();
        const missing = events.map(numberOf).filter((n) => !taken.includes(n));
        expect(missing).toEqual([]);
        return taken;
      }, deadlineMs);

    beforeAll(async () => {
      far = await start();
    });
    afterAll(async () => await far?.stop());

    test('delivers every event, in order', async () => {
      const events = batch(250);
      await withConnection(far.sink, async (connection) => {
        expect(await connection.deliver(events.slice(0, 100), endless)).toEqual([]);
        expect(await connection.deliver(events.slice(100), endless)).toEqual([]);
      });
      const taken = await arrived(events);
      expect(taken.filter((n) => n >= numberOf(events[0]!))).toEqual(events.map(numberOf));
    });

    test('takes as many batches at once as it says, and settles them in their order', async () => {
      await withConnection(far.sink, async (connection) => {
        const batches = Array.from({ length: connection.depth ?? 1 }, () => batch(120));
        const settled: number[] = [];
        const deliver = async (events: readonly CloudEvent[], at: number): Promise<void> => {
          expect(await connection.deliver(events, endless)).toEqual([]);
          settled.push(at);
        };
        for (let round = 0; round < 2; round++) await Promise.all(batches.map(deliver));
        const inOrder = batches.map((_, at) => at);
        expect(settled).toEqual([...inOrder, ...inOrder]);
        const taken = await arrived(batches.flat());
        const ours = new Set(batches.flat().map(numberOf));
        const first = [...new Set(taken.filter((n) => ours.has(n)))];
        expect(first).toEqual(batches.flat().map(numberOf));
      });
    });

    test('serves two lanes at once', async () => {
      const [one, two] = [batch(50), batch(50)];
      const connections = await Promise.all([far.sink.connect(endless), far.sink.connect(endless)]);
      await Promise.all([
        connections[0].deliver(one, endless),
        connections[1].deliver(two, endless),
      ]);
      await Promise.all(connections.map((connection) => connection.close()));
      await arrived([...one, ...two]);
    });

    test('can be closed twice, and while nothing was ever sent', async () => {
      const connection = await far.sink.connect(endless);
      await connection.close();
      await connection.close();
    });

    test('obeys an aborted signal at once', async () => {
      const reason = new Error('We stop.');
      await expect(far.sink.connect(AbortSignal.abort(reason))).rejects.toBe(reason);
      await withConnection(far.sink, async (connection) => {
        await expect(connection.deliver(batch(1), AbortSignal.abort(reason))).rejects.toBe(reason);
      });
    });

    test.skipIf(exceptions.refuses !== undefined)(
      `names what the far side refuses, and delivers the rest${because(exceptions.refuses)}`,
      async () => {
        const good = batch(40);
        const bad = [far.refused!(next++), far.refused!(next++)];
        const all = [
          ...good.slice(0, 7),
          bad[0]!,
          ...good.slice(7, 30),
          bad[1]!,
          ...good.slice(30),
        ];
        const rejections = await withConnection(
          far.sink,
          async (connection) => await connection.deliver(all, endless),
        );
        expect(new Set(rejections.map(({ event }) => event))).toEqual(new Set(bad));
        expect(rejections).toHaveLength(bad.length);
        for (const { reason } of rejections) expect(reason).toMatch(/\w+ \w+/);
        await arrived(good);
      },
    );

    const canGo = describe.skipIf(exceptions.gone !== undefined);
    canGo(`when the far side is gone${because(exceptions.gone)}`, () => {
      let connection: Connection | undefined;
      test('it throws, and a new connection delivers the same batch', async () => {
        const events = batch(20);
        connection = await far.sink.connect(endless);
        await connection.deliver(batch(1), endless);
        await far.gone!();
        await failureOf(connection.deliver(events, endless));
        await failureOf(far.sink.connect(endless).then(async (c) => await c.close()));
        await far.back!();
        await withConnection(far.sink, async (c) => {
          expect(await c.deliver(events, endless)).toEqual([]);
        });
        await arrived(events);
        await connection.close();
        await connection.close();
      });

      test('what was given to it behind a batch that fails, fails', async () => {
        const broken = await far.sink.connect(endless);
        await broken.deliver(batch(1), endless);
        await far.gone!();
        const given = Array.from({ length: broken.depth ?? 1 }, () => batch(3));
        const failing = given.map(async (some) => await failureOf(broken.deliver(some, endless)));
        expect(await Promise.all(failing)).toHaveLength(given.length);
        await far.back!();
        await broken.close();
      });

      test('it does not try again by itself', async () => {
        const [lost, later] = [batch(5), batch(5)];
        const broken = await far.sink.connect(endless);
        await far.gone!();
        await failureOf(broken.deliver(lost, endless));
        await far.back!();
        await withConnection(far.sink, async (c) => void (await c.deliver(later, endless)));
        const taken = await arrived(later);
        expect(lost.map(numberOf).filter((n) => taken.includes(n))).toEqual([]);
        await broken.close();
      });
    });

    test.skipIf(exceptions.hangs !== undefined)(
      `obeys the signal within a second while the far side hangs${because(exceptions.hangs)}`,
      async () => {
        const reason = new Error('We stop.');
        const events = batch(10);
        const stopped = async (work: (signal: AbortSignal) => Promise<unknown>) => {
          const control = new AbortController();
          const working = failureOf(work(control.signal));
          await new Promise((resolve) => setImmediate(resolve));
          const since = performance.now();
          control.abort(reason);
          expect(await working).toBe(reason);
          expect(performance.now() - since).toBeLessThan(1_000);
        };
        const connection = await far.sink.connect(endless);
        await connection.deliver(batch(1), endless);
        await far.hang!();
        try {
          await stopped(async (signal) => await connection.deliver(events, signal));
          const since = performance.now();
          await connection.close();
          expect(performance.now() - since).toBeLessThan(1_000);
          await stopped(async (signal) => await far.sink.connect(signal));
        } finally {
          await far.resume!();
        }
        await eventually(async () => {
          await withConnection(far.sink, async (c) => void (await c.deliver(events, endless)));
        });
        await arrived(events);
      },
    );
  });
}

const because = (reason: string | undefined): string =>
  reason === undefined ? '' : ` (left out: ${reason})`;

/** A reading that is known by its number. */
export function numbered(n: number): CloudEvent<'reading'> {
  const time = 1_795_000_000_000 + n;
  return readingOf({
    id: `event-${n}`,
    subject: `gh-${n % 7}`,
    time,
    recordedTime: time,
    data: { measurement: 'climate', tags: { site: 'north' }, fields: { n, temperature: n / 8 } },
  });
}

export function numberOf(event: CloudEvent): number {
  const n = event.type === 'reading' ? event.data.fields.n : undefined;
  return typeof n === 'number' ? n : Number.NaN;
}
