import { z } from 'zod';
import { duration, size } from '../../src/kind/kind.ts';
import type { Behaviour } from './behaviour.ts';
import { burst } from './burst.ts';
import { clock } from './clock.ts';
import type { LinkBehaviour } from './condition.ts';
import { counter } from './counter.ts';
import { diurnal } from './diurnal.ts';
import { drift } from './drift.ts';
import { duplicate } from './duplicate.ts';
import { garbage } from './garbage.ts';
import { halfOpen } from './half-open.ts';
import { lowBattery } from './low-battery.ts';
import { offline } from './offline.ts';
import { outOfOrder } from './out-of-order.ts';
import { overheat } from './overheat.ts';
import { oversized } from './oversized.ts';
import { reboot } from './reboot.ts';
import { reconnectStorm } from './reconnect-storm.ts';
import { silence } from './silence.ts';
import { slowReader } from './slow-reader.ts';
import { steady } from './steady.ts';
import { wrongPassword } from './wrong-password.ts';

const share = z.number().min(0).max(1).describe('Of all messages, from 0 to 1.');
const field = z.string().min(1).describe('The field that changes.');
const signed = z
  .string('must be a duration such as 90s or -5m')
  .regex(/^-?\d+(\.\d+)?(ms|s|m|h|d)$/, 'must be a duration such as 90s or -5m')
  .transform((text) => (text.startsWith('-') ? -1 : 1) * duration.parse(text.replace('-', '')));
const recurring = {
  every: duration.optional().describe('From one time to the next. Default: once.'),
  lasts: duration.describe('How long each time.'),
  after: duration.prefault('0s').describe('When the first begins.'),
};
const optional = { ...recurring, lasts: duration.optional().describe('Default: for ever.') };
interface Times {
  readonly every?: number | undefined;
  readonly lasts?: number | undefined;
  readonly after: number;
}
const times = ({ every, lasts = Number.POSITIVE_INFINITY, after }: Times) => ({
  everyMs: every,
  lastsMs: lasts,
  afterMs: after,
});

interface BehaviourKind<T, O extends z.ZodType> {
  readonly summary: string;
  readonly options: O;
  create(options: z.output<O>): T;
}
const kind =
  <T>() =>
  <O extends z.ZodType>(
    summary: string,
    options: O,
    create: (options: z.output<O>) => T,
  ): BehaviourKind<T, O> => ({ summary, options, create });
const ofDevice = kind<Behaviour>();
const ofLink = kind<LinkBehaviour>();

/**
 * What devices can be made to do, in the order in which it is applied, whatever the order in which
 * it is asked for: what is measured, and the clock, which begin anew with each life of the device; its
 * lives; what its radio makes of it.
 */
export const behaviours = {
  steady: ofDevice(
    'Fields keep to their values.',
    z.strictObject({
      fields: z
        .record(z.string(), z.union([z.number(), z.boolean(), z.string()]))
        .describe('Each field and its value.'),
      noise: z.number().min(0).default(0).describe('How far a number strays to either side.'),
      decimals: z.int().min(0).max(10).default(2).describe('Digits behind the point.'),
    }),
    steady,
  ),
  drift: ofDevice(
    'A sensor ages: its value moves away.',
    z.strictObject({ field, perHour: z.number().describe('How far in an hour.') }),
    (given) => drift(given.field, given.perHour),
  ),
  diurnal: ofDevice(
    'Day and night.',
    z.strictObject({
      field,
      swing: z.number().describe('How far to either side.'),
      peakHour: z.number().min(0).max(24).default(14).describe('Hour of the day, UTC.'),
    }),
    diurnal,
  ),
  counter: ofDevice(
    'What only grows, until the device starts again.',
    z.strictObject({ field, perHour: z.number().min(0).describe('How much in an hour.') }),
    (given) => counter(given.field, given.perHour),
  ),
  overheat: ofDevice(
    'A field climbs to a peak, stays there, and comes back.',
    z.strictObject({
      field,
      peak: z.number().describe('What it reaches.'),
      ...recurring,
      ramp: duration.prefault('2s').describe('How long it takes to get there, and back.'),
    }),
    ({ ramp, every = Number.POSITIVE_INFINITY, after, lasts, ...rest }) =>
      overheat({ ...rest, everyMs: every, lastsMs: lasts, afterMs: after, rampMs: ramp }),
  ),
  clock: ofDevice(
    'A clock that is wrong.',
    z.strictObject({
      skew: signed.prefault('0s').describe('How far it is ahead; behind with a minus.'),
      gainPerHour: signed.prefault('0s').describe('How much it gains in an hour.'),
      unset: duration.prefault('0s').describe('It says 1970 for so long after each start.'),
    }),
    ({ skew, gainPerHour, unset }) =>
      clock({ skewMs: skew, gainMsPerHour: gainPerHour, unsetMs: unset }),
  ),
  reboot: ofDevice(
    'The device starts again; counters, drift and seq begin anew.',
    z.strictObject({ every: duration.describe('How long each life is.') }),
    ({ every }) => reboot(every),
  ),
  lowBattery: ofDevice(
    'A battery at its end: below 5 % every other message is not sent, at 0 none.',
    z.strictObject({
      field: field.default('battery'),
      from: z.number().min(0).max(100).default(6).describe('Percent at the start.'),
      perHour: z.number().min(0).default(60).describe('Percent it loses in an hour.'),
    }),
    lowBattery,
  ),
  silence: ofDevice('Nothing is measured.', z.strictObject(recurring), (given) =>
    silence(times(given)),
  ),
  burst: ofDevice(
    'Many messages instead of one.',
    z.strictObject({
      ...recurring,
      times: z.int().min(2).max(1_000).default(10).describe('How many.'),
    }),
    (given) => burst({ ...times(given), times: given.times }),
  ),
  garbage: ofDevice('Bytes that make no sense.', z.strictObject({ share }), (given) =>
    garbage(given.share),
  ),
  oversized: ofDevice(
    'Messages larger than a server takes; the device gives each up after one try.',
    z.strictObject({ share, bytes: size.prefault('2MiB').describe('How large.') }),
    oversized,
  ),
  duplicate: ofDevice('Messages sent twice.', z.strictObject({ share }), (given) =>
    duplicate(given.share),
  ),
  outOfOrder: ofDevice('Messages sent after the next one.', z.strictObject({ share }), (given) =>
    outOfOrder(given.share),
  ),
  offline: ofDevice(
    'What is measured is kept in the device, and sent later.',
    z.strictObject({
      ...recurring,
      keeps: z.int().min(1).max(1_000).default(500).describe('How many messages it can keep.'),
    }),
    (given) => offline({ ...times(given), keeps: given.keeps }),
  ),
} as const;

/** What the connections of devices can be made to do. */
export const linkBehaviours = {
  halfOpen: ofLink(
    'The device is gone without a word, and comes back on another connection.',
    z.strictObject(recurring),
    (given) => halfOpen(times(given)),
  ),
  slowReader: ofLink(
    'The device subscribes, and reads slowly.',
    z.strictObject({
      topic: z.string().min(1).default('#').describe('What it subscribes to.'),
      every: duration.prefault('1s').describe('How often it takes what has come.'),
    }),
    ({ topic, every }) => slowReader(topic, every),
  ),
  reconnectStorm: ofLink(
    'All devices hang up at once, and come back.',
    z.strictObject({
      ...recurring,
      lasts: duration.prefault('100ms').describe('How long they are away.'),
      jitter: duration.prefault('0s').describe('Each waits up to so much longer. 0s: all at once.'),
    }),
    (given) => reconnectStorm({ ...times(given), jitterMs: given.jitter }),
  ),
  wrongPassword: ofLink(
    'A password that is not the right one.',
    z.strictObject(optional),
    (given) => wrongPassword(times(given)),
  ),
} as const;
