/** What must hold at the end of every life, whatever happened in it. */
import { expect } from 'vitest';
import type { CloudEvent } from '../../src/event/event.ts';
import { isRedriven } from '../../src/event/redelivery.ts';
import { fromState, imbalanceOf } from '../../src/flow/account.ts';
import { createAudit } from '../../src/flow/audit.ts';
import { createRecount } from '../../src/flow/recount.ts';
import { readCursors } from '../../src/log/cursor-store.ts';
import type { Entry } from '../../src/log/log.ts';
import type { Disk } from '../../src/platform/disk.ts';
import { silentLogger } from '../../src/platform/logger.ts';
import type { World } from './life.ts';

export async function expectPromisesKept(world: World): Promise<void> {
  const recorded = await world.recorded();
  expectPositionsWithoutHoles(recorded);
  expectAcknowledgedRecorded(world, recorded);
  expectDelivered(world, recorded);
  expectBooksBalanced(world, recorded);
  expectAlertsAsModelled(recorded.filter((event) => !isRedriven(event)));
  expectRedriven(world, recorded);
  expectTrueTimes(world);
}

/** 1. What was acknowledged survives; what was repeated stands once. */
export function expectAcknowledgedRecorded(world: World, recorded: readonly CloudEvent[]): void {
  const counts = new Map<string, number>();
  let undecodable = 0;
  for (const event of recorded) {
    if (event.type === 'undecodable' && !isRedriven(event)) undecodable++;
    if (event.type !== 'reading' || isRedriven(event)) continue;
    const key = `${event.subject} ${event.data.fields.seq}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const garbage = world.sent.filter((sent) => sent.payload === garbagePayload);
  expect(undecodable, 'garbage that was acknowledged is kept').toBeGreaterThanOrEqual(
    garbage.filter((sent) => sent.acknowledged).length,
  );
  for (const sent of world.sent) {
    if (sent.payload === garbagePayload) continue;
    const count = counts.get(`${sent.device} ${sent.seq}`) ?? 0;
    if (sent.acknowledged) expect(count, `${sent.device} ${sent.seq} was acknowledged`).toBe(1);
    else expect(count).toBeLessThanOrEqual(1);
  }
}
export const garbagePayload = '{"temperature": 4';

/** 2. Every sink has every event it wants, in order, or the log says by name that it refused it. */
function expectDelivered(world: World, recorded: readonly CloudEvent[]): void {
  for (const sink of world.sinks) {
    const refused = new Set(sink.rejected.map(({ event }) => event.id));
    const named = new Set(
      recorded.flatMap((event) =>
        event.type === 'rejected' && event.data.sink === sink.name
          ? [(event.data.event as { id: string }).id]
          : [],
      ),
    );
    const taken = new Map<string, number>();
    /** What drains beside live delivery has an order of its own. */
    const drained = new Map<string, number>();
    sink.taken.forEach(({ id, extensions }, index) => {
      if (extensions?.redriveof !== undefined) return;
      const first = extensions?.historical === undefined ? taken : drained;
      if (!first.has(id)) first.set(id, index);
    });
    const latest = { reading: -1, other: -1, drained: -1 };
    const seen = new Set<string>();
    for (const event of recorded) {
      // A refusal that was told again after a crash is the same event, told twice.
      if (!sink.types.includes(event.type) || seen.has(event.id) || isRedriven(event)) continue;
      seen.add(event.id);
      const at = taken.get(event.id);
      const drainedAt = drained.get(event.id);
      // What was refused and then, after a crash, taken all the same is out of order.
      if (drainedAt !== undefined && !refused.has(event.id)) {
        expect(drainedAt, `${event.id} drained in order`).toBeGreaterThan(latest.drained);
        latest.drained = drainedAt;
      }
      if (at === undefined) {
        if (drainedAt !== undefined) continue;
        const where = `${event.type} ${event.id} reached ${sink.name} or was refused by name`;
        expect(event.type === 'rejected' ? refused.has(event.id) : named.has(event.id), where).toBe(
          true,
        );
        continue;
      }
      if (refused.has(event.id)) continue;
      const lane = event.type === 'reading' ? 'reading' : 'other';
      expect(at, `${event.id} reached ${sink.name} in order`).toBeGreaterThan(latest[lane]);
      latest[lane] = at;
    }
  }
}

/** What was sent again for a letter reached that sink, marked, and no other; or it was refused again. */
function expectRedriven(world: World, recorded: readonly CloudEvent[]): void {
  for (const event of recorded) {
    const { redriveof, redriveto, redriveattempt } = event.extensions ?? {};
    if (redriveof === undefined) continue;
    const isThis = (other: CloudEvent): boolean =>
      other.id === event.id &&
      other.extensions?.redriveof === redriveof &&
      other.extensions.redriveattempt === redriveattempt;
    for (const sink of world.sinks) {
      const taken = sink.taken.some(isThis) || sink.rejected.some((each) => isThis(each.event));
      expect(taken, `${redriveof} reached ${sink.name}`).toBe(sink.name === redriveto);
    }
  }
}

/** Readings are told with the time they were sent at, or flagged, whenever the clock was set. */
function expectTrueTimes(world: World): void {
  const sent = new Map(world.sent.map((each) => [`${each.device} ${each.seq}`, each.offeredAt]));
  for (const sink of world.sinks) {
    for (const { type, subject, data, time, extensions } of sink.taken) {
      if (type !== 'reading' || extensions?.timequality === 'unsynchronised') continue;
      const offeredAt = sent.get(`${subject} ${data.fields.seq}`) ?? [];
      const isTrue = offeredAt.some((at) => Math.abs(at - time) < 1_500);
      expect(isTrue, `${subject} ${time} ${extensions?.timequality}: ${offeredAt}`).toBe(true);
    }
  }
}

/** 4. The books of every sink balance, and say what the log says. */
function expectBooksBalanced(world: World, recorded: readonly Entry[]): void {
  const books = world.gateway!.books();
  const audit = createAudit(books, (reader) => world.acceptsOf(reader));
  audit.add(recorded);
  for (const lane of audit.lanes()) {
    const { difference, received, waiting, delivered, rejected, expired, dropped } = lane;
    expect(difference, JSON.stringify(lane)).toBe(0);
    expect(received).toBe(delivered + waiting + rejected + expired + dropped);
    expect({ waiting, expired, dropped }, lane.reader).toEqual({
      waiting: 0,
      expired: 0,
      dropped: 0,
    });
    const accepts = world.acceptsOf(lane.reader)!;
    expect(received, `received by ${lane.reader}`).toBe(recorded.filter(accepts).length);
  }
  const recount = createRecount(books, (reader) => world.acceptsOf(reader));
  recount.add(recorded);
  expect(recount.impossible).toEqual([]);
  expect(recount.disagreements()).toEqual([]);
}

/** At every moment that is saved, the books are whole. */
export async function expectSavedBooksWhole(disk: Disk): Promise<void> {
  for (const { name, position, state } of await readCursors(disk, silentLogger)) {
    if (!name.includes('/')) continue;
    const books = fromState(name, position, state);
    expect(imbalanceOf(books), JSON.stringify(books)).toBe(0);
    const oldest = books.backlog[0]?.from ?? books.reached + 1;
    expect(position, `the cursor of ${name} is before all that is not delivered`).toBe(oldest - 1);
  }
}

/** 3. Alerts follow from the readings alone: each said once, a firing before its resolve. */
function expectAlertsAsModelled(recorded: readonly CloudEvent[]): void {
  const expected: string[] = [];
  const hot = new Map<string, boolean>();
  for (const event of recorded) {
    if (event.type !== 'reading') continue;
    const value = event.data.fields.temperature;
    if (typeof value !== 'number') continue;
    const was = hot.get(event.subject) ?? false;
    if (!was && value > 30) expected.push(`${event.id} ${event.subject} firing`);
    if (was && value < 28) expected.push(`${event.id} ${event.subject} resolved`);
    hot.set(event.subject, was ? value >= 28 : value > 30);
  }
  const said: string[] = [];
  const open = new Map<string, string>();
  for (const event of recorded) {
    if (event.type !== 'alert') continue;
    const { rule, state, incident } = event.data;
    if (rule === 'hot') said.push(`${event.extensions?.causationid} ${event.subject} ${state}`);
    const key = `${rule} ${event.subject}`;
    if (state === 'firing') {
      expect(open.has(key), `${rule} fires for ${event.subject} while it is firing`).toBe(false);
      open.set(key, incident);
    } else {
      expect(open.get(key), `the incident of ${rule} for ${event.subject}`).toBe(incident);
      open.delete(key);
    }
  }
  expect(said.sort()).toEqual(expected.sort());
}

/** Positions are without holes as long as nothing was dropped or damaged. */
function expectPositionsWithoutHoles(recorded: readonly { position: number }[]): void {
  recorded.forEach((entry, index) => {
    expect(entry.position).toBe(recorded[0]!.position + index);
  });
}
