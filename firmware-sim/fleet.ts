import type { Clock } from '../src/platform/clock.ts';
import type { Random } from '../src/platform/random.ts';
import type { Behaviour } from './behaviour/behaviour.ts';
import type { LinkBehaviour } from './behaviour/condition.ts';
import { createDevice, type DeviceMessage } from './device.ts';
import { createHistogram, type Histogram } from './histogram.ts';
import { type ConnectOptions, transportTo } from './link/index.ts';
import type { Transport } from './link/link.ts';
import { Radio, type Schedule, type Tally } from './radio.ts';
import { greenhouse } from './shape/greenhouse.ts';
import type { Shape } from './shape/shape.ts';

export interface FleetOptions extends ConnectOptions {
  /** mqtt, mqtts, ws, wss, http, https or serial; or a transport, such as `directTransport`. */
  readonly url?: string;
  readonly transport?: Transport;
  readonly clock: Clock;
  /** Only for waiting between connections: what devices send depends on the seed alone. */
  readonly random: Random;
  readonly devices?: number;
  /** Moments a second at which each device measures; up to 1,000, so that no two share a time. */
  readonly rateHz?: number;
  readonly seed?: number;
  /** Which time the devices are switched on; without it, the second in which the fleet is opened. */
  readonly boot?: number;
  /** What kind of device; `greenhouse` without it. */
  readonly shape?: Shape;
  /** What the devices do beside measuring, and what their connections do. */
  readonly behaviour?: Behaviour;
  readonly link?: LinkBehaviour;
  /** Put before the names of the devices. */
  readonly prefix?: string;
  /** Sending ends by itself after this long, or after so many moments of every device. */
  readonly durationMs?: number;
  readonly moments?: number;
  /** Moments a device remembers while it cannot send; then it forgets the oldest. */
  readonly offlineMoments?: number;
  /** New connections a second at the start, over the whole fleet. */
  readonly connectRateHz?: number;
  /** Until the first moment; by default, until the last device may have connected. */
  readonly rampMs?: number;
  /** Between attempts to connect: a random time, up to a limit that doubles with each. */
  readonly backoff?: { readonly minMs: number; readonly maxMs: number };
  /** How long to wait at the end for what is not yet acknowledged. */
  readonly graceMs?: number;
  /** Ends the sending, as `close` does. */
  readonly signal?: AbortSignal;
  /** Every message, when it is sent first. */
  readonly onSent?: (message: DeviceMessage) => void;
  /** Every acknowledgement, as soon as it arrives. */
  readonly onAcknowledged?: (message: DeviceMessage) => void;
}

/** Messages, unless it says otherwise. */
export interface FleetCounts {
  readonly devices: number;
  /** Devices that are connected. */
  readonly connected: number;
  /** Connections made so far. */
  readonly connections: number;
  /** Sent at least once. */
  readonly sent: number;
  /** Sent again after a connection broke. */
  readonly resent: number;
  readonly acknowledged: number;
  /** The server said that it will never take them. */
  readonly refused: number;
  /** Forgotten by devices that could not send for too long: their doing, not the gateway's. */
  readonly dropped: number;
  /** Due and not settled. */
  readonly waiting: number;
}

export interface FleetReport extends FleetCounts {
  /** Whether the far side says what it has taken. */
  readonly acknowledges: boolean;
  /** Not acknowledged when the grace was over; where nothing is acknowledged, never sent. */
  readonly lost: number;
  readonly elapsedMs: number;
  /** From the time a message could have been sent to its acknowledgement. */
  readonly latency: Histogram;
  /** Why a connection or a message failed last, if any did. */
  readonly problem: string | undefined;
}

export interface Fleet {
  readonly counts: FleetCounts;
  readonly latency: Histogram;
  readonly problem: string | undefined;
  /** Resolves when all is sent and settled, or the grace is over, and the connections are closed. */
  readonly finished: Promise<FleetReport>;
  /** Measures nothing more, waits for what is on its way, within the grace, and disconnects. */
  close(graceMs?: number): Promise<FleetReport>;
}

/** What is due within one step is sent together; shorter steps would cost a wake-up each. */
const stepMs = 5;
const goesAndComesMs = 25;
const tendMs = 250;
const idleMs = 100;
/** Under a simulated clock there may be days to get through. */
const directIdleMs = 1_000;
const goodbyeMaxMs = 1_000;

/**
 * Devices, each on a connection of its own, all on one timer. What a device says at its moment `seq`
 * depends on the seed, its number and the time alone. Throws for an address that cannot be one.
 */
export function openFleet(options: FleetOptions): Fleet {
  const { clock, graceMs = 10_000 } = options;
  const openedAt = clock.monotonic();
  const schedule = scheduleOf(options, openedAt);
  const tally = createTally();
  const transport = options.transport ?? transportTo(options.url ?? '', options);
  const radios = createRadios(options, transport, schedule, tally, openedAt);
  const momentsMax = momentsMaxOf(options, schedule);
  let stopAt = Number.POSITIVE_INFINITY;
  const stop = (withinMs: number): void => {
    stopAt = Math.min(stopAt, clock.monotonic() + withinMs);
  };

  /** Lets every moment come that is due; answers when the next one is. */
  const sendDue = (now: number): number => {
    const target = Math.min(momentsMax, Math.floor((now - schedule.startAt) / schedule.gapMs) + 1);
    while (tally.momentsDue < target) radios[tally.momentsDue % radios.length]!.due(now);
    return tally.momentsDue < momentsMax
      ? schedule.startAt + tally.momentsDue * schedule.gapMs
      : Number.POSITIVE_INFINITY;
  };

  const run = async (): Promise<FleetReport> => {
    const restMs = transport.name === 'direct' ? directIdleMs : idleMs;
    const tendsMs = options.link === undefined ? Math.max(tendMs, restMs) : goesAndComesMs;
    let tendAt = openedAt;
    let nextConnect = openedAt;
    for (;;) {
      const now = clock.monotonic();
      if (options.signal?.aborted) stop(graceMs);
      const nextDue = stopAt === Number.POSITIVE_INFINITY ? sendDue(now) : Number.POSITIVE_INFINITY;
      // Ten thousand radios are not asked every few milliseconds.
      if (now >= tendAt || now >= nextConnect) {
        for (const radio of radios) radio.tend(now);
        nextConnect = connectDue(radios, now);
        tendAt = now + tendsMs;
      }
      if (nextDue === Number.POSITIVE_INFINITY) {
        stop(graceMs);
        const settled = tally.open <= 0 && tally.momentsMade === tally.momentsDue;
        if (settled || now >= stopAt) break;
      }
      const pauseMs = Math.min(nextDue, nextConnect, tendAt, now + restMs, stopAt) - now;
      await clock.sleep(Math.max(pauseMs, stepMs));
    }
    const elapsedMs = clock.monotonic() - openedAt;
    const unsent = radios.reduce((sum, radio) => sum + radio.silence(), 0);
    const { latency, problem } = tally;
    const counts = countsOf(tally, radios.length);
    const lost = tally.open + unsent;
    await disconnect(radios, tally, clock);
    const { acknowledges } = transport;
    return { ...counts, acknowledges, lost, elapsedMs, latency, problem };
  };

  const finished = run();
  return {
    get counts() {
      return countsOf(tally, radios.length);
    },
    latency: tally.latency,
    get problem() {
      return tally.problem;
    },
    finished,
    close(closeGraceMs = graceMs) {
      stop(closeGraceMs);
      return finished;
    },
  };
}

function scheduleOf(options: FleetOptions, openedAt: number): Schedule {
  const { clock, devices = 5, rateHz = 1, seed = 1, connectRateHz = 1_000 } = options;
  // The devices come up one by one; the first moment is when the last of them may connect.
  const { rampMs = (devices / connectRateHz) * 1_000 } = options;
  return {
    seed,
    devices,
    startAt: openedAt + rampMs,
    startTime: Math.round(clock.now() + rampMs),
    gapMs: 1_000 / (rateHz * devices),
  };
}

function momentsMaxOf(options: FleetOptions, schedule: Schedule): number {
  const { durationMs, moments } = options;
  return Math.min(
    moments === undefined ? Number.POSITIVE_INFINITY : moments * schedule.devices,
    durationMs === undefined ? Number.POSITIVE_INFINITY : Math.ceil(durationMs / schedule.gapMs),
  );
}

function createRadios(
  options: FleetOptions,
  transport: Transport,
  schedule: Schedule,
  tally: Tally,
  openedAt: number,
): readonly Radio[] {
  const { clock, shape = greenhouse, connectRateHz = 1_000, behaviour, prefix } = options;
  const boot = options.boot ?? Math.floor(clock.now() / 1_000);
  if (transport.single && schedule.devices > 1) {
    throw new Error('On one serial port there is one device: devices must be 1.');
  }
  const radioOptions = {
    offlineMoments: 1_000,
    backoff: { minMs: 250, maxMs: 10_000 },
    ...options,
    transport,
  };
  return Array.from({ length: schedule.devices }, (_, index) => {
    const beside = {
      ...(behaviour === undefined ? {} : { behaviour }),
      ...(prefix === undefined ? {} : { prefix }),
    };
    const device = createDevice({ shape, index, boot, ...beside });
    const connectAt = openedAt + (index / connectRateHz) * 1_000;
    return new Radio(device, index, connectAt, schedule, radioOptions, tally);
  });
}

/** Connects whoever may; answers when the next one may. */
function connectDue(radios: readonly Radio[], now: number): number {
  let next = Number.POSITIVE_INFINITY;
  for (const radio of radios) {
    const at = radio.connectAt;
    if (at === undefined) continue;
    if (at <= now) radio.connect(now);
    else if (at < next) next = at;
  }
  return next;
}

async function disconnect(radios: readonly Radio[], tally: Tally, clock: Clock): Promise<void> {
  for (const radio of radios) radio.close();
  const giveUpAt = clock.monotonic() + goodbyeMaxMs;
  while (tally.connected > 0 && clock.monotonic() < giveUpAt) await clock.sleep(stepMs);
  for (const radio of radios) radio.destroy();
}

function createTally(): Tally {
  return {
    connected: 0,
    connections: 0,
    sent: 0,
    resent: 0,
    acknowledged: 0,
    refused: 0,
    dropped: 0,
    open: 0,
    momentsDue: 0,
    momentsMade: 0,
    problem: undefined,
    latency: createHistogram(),
  };
}

function countsOf(tally: Tally, devices: number): FleetCounts {
  const { connected, connections, sent, resent, acknowledged, refused, dropped } = tally;
  // A moment that is not made yet is taken for one message.
  const waiting = tally.open + tally.momentsDue - tally.momentsMade;
  return { devices, connected, connections, sent, resent, acknowledged, refused, dropped, waiting };
}
