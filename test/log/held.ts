import type { Draft } from '../../src/event/event.ts';
import { type Keyring, noKeys } from '../../src/log/keyring.ts';
import type { LogOptions } from '../../src/log/segment-log.ts';
import { seededRandom } from '../../src/platform/random.ts';
import type { SimClock } from '../sim/clock.ts';
import type { SimDisk } from '../sim/disk.ts';
import { openLog, positionOf } from './opened.ts';

/** Three devices, each with a value of its own that wanders. */
export const readingAt = (number: number, celsius: number): Draft<'reading'> => ({
  ...{ type: 'reading', source: '/gateways/test/broker', subject: `device-${number % 3}` },
  time: 1_795_000_000_000 + number,
  data: { measurement: 'climate', tags: { site: 'north' }, fields: { number, celsius } },
});
export const alertAt = (number: number): Draft<'alert'> => ({
  ...{ type: 'alert', source: '/gateways/test/rules/hot', subject: 'device-1' },
  ...{ time: 1_795_000_000_000 + number, id: `alert-${number}` },
  data: {
    ...{ rule: 'hot', state: 'firing', incident: `${number}`, severity: 'warning' },
    ...{ since: '2026-11-20T12:00:00.000Z', summary: 'It is hot.' },
  },
});

export const small: Partial<LogOptions> = { maxBytes: 60_000, segmentBytes: 5_000, keepEvery: 5 };

/** A log that a reader keeps from being delivered, so that it must give up what is not. */
export async function openHeld(
  disk: SimDisk,
  options: Partial<LogOptions>,
  clock?: SimClock,
  keys: Keyring = noKeys,
) {
  const opened = await openLog(disk, { ...small, ...options }, clock, keys);
  opened.cursors.open('sink', () => positionOf(0));
  await opened.cursors.save();
  return opened;
}
type Held = Pick<Awaited<ReturnType<typeof openHeld>>, 'log' | 'clock'>;

/** Readings, ten to an append, and an alert for every 200th. */
export async function fill({ log, clock }: Held, from: number, count: number): Promise<void> {
  const random = seededRandom(from);
  for (let first = from; first < from + count; first += 10) {
    const drafts: Draft[] = [];
    for (let i = first; i < Math.min(first + 10, from + count); i++) {
      drafts.push(readingAt(i, Math.round(random.next() * 1_000) / 10));
      if (i % 200 === 0) drafts.push(alertAt(i));
    }
    await log.append(drafts);
    await clock.advance(100);
  }
}
