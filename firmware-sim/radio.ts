import type { IClientOptions } from 'mqtt';
import type { Clock } from '../src/platform/clock.ts';
import type { Random } from '../src/platform/random.ts';
import type { Device, DeviceMessage } from './device.ts';
import type { Histogram } from './histogram.ts';
import { type Link, openLink } from './link.ts';

/** What happened to the messages of a whole fleet; its radios count into one. */
export interface Tally {
  connected: number;
  connections: number;
  sent: number;
  resent: number;
  acknowledged: number;
  refused: number;
  dropped: number;
  /** Made and not settled. */
  open: number;
  /** Moments that are due, and those whose messages were made or forgotten. */
  momentsDue: number;
  momentsMade: number;
  /** Why a connection or a message failed last. */
  problem: string | undefined;
  readonly latency: Histogram;
}

/** When the moments of a fleet are due: device after device, evenly, round after round. */
export interface Schedule {
  readonly seed: number;
  readonly devices: number;
  /** By the monotonic clock, and by the wall clock. */
  readonly startAt: number;
  readonly startTime: number;
  /** From one moment of the fleet to the next. */
  readonly gapMs: number;
}

export interface RadioOptions {
  readonly url: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly qos: 0 | 1 | 2;
  readonly protocol: 4 | 5;
  readonly windowMessages: number;
  readonly offlineMoments: number;
  readonly backoff: { readonly minMs: number; readonly maxMs: number };
  readonly client?: IClientOptions;
  readonly onAcknowledged?: (message: DeviceMessage) => void;
}

/**
 * How one device gets its messages across: in order, within a window, again when the connection
 * broke. What waits is kept as numbers, since a device can make any of its messages again.
 */
export interface Radio {
  /** When the next attempt to connect may be made; undefined while there is a connection. */
  readonly connectAt: number | undefined;
  connect(): void;
  /** One more moment is due: sends it if it can, forgets the oldest if too many wait. */
  due(now: number): void;
  /** Sends nothing more; the number of messages that were due and never sent. */
  silence(): number;
  /** Says goodbye, and hangs up. */
  close(): void;
  destroy(): void;
}

export function createRadio(
  device: Device,
  index: number,
  firstConnectAt: number,
  schedule: Schedule,
  options: RadioOptions,
  tally: Tally,
): Radio {
  const { clock, qos } = options;
  let link: Link | undefined;
  let connectAt = firstConnectAt;
  /** Attempts since the last that led somewhere. */
  let attempts = 0;
  /** The newest moment that is due, and the oldest that is not made yet. */
  let newest = 0;
  let next = 1;
  /** Made and not sent, and handed back by a broken connection. In order. */
  const ready: DeviceMessage[] = [];
  let again: DeviceMessage[] = [];
  let silent = false;

  const elapsedMsOf = (seq: number): number =>
    ((seq - 1) * schedule.devices + index) * schedule.gapMs;

  const make = (): readonly DeviceMessage[] => {
    const seq = next++;
    tally.momentsMade += 1;
    const elapsedMs = Math.round(elapsedMsOf(seq));
    const time = schedule.startTime + elapsedMs;
    return device.messagesAt({ seed: schedule.seed, index, seq, elapsedMs, time });
  };

  /** What could have been sent earlier counts from then: waiting is part of the latency. */
  const send = (to: Link, message: DeviceMessage, now: number, isAgain: boolean): void => {
    if (isAgain) tally.resent += 1;
    else tally.sent += 1;
    const dueAt = schedule.startAt + elapsedMsOf(message.seq);
    to.send(message, !isAgain && message.seq === newest ? Math.max(now, dueAt) : dueAt);
  };

  const pump = (now: number): void => {
    while (link !== undefined && link.room > 0 && !silent) {
      const returned = again.shift();
      const message = returned ?? ready.shift();
      if (message !== undefined) {
        send(link, message, now, returned !== undefined);
      } else if (next <= newest) {
        ready.push(...make());
        tally.open += ready.length;
      } else return;
    }
  };

  const closed = (unsettled: readonly DeviceMessage[], error: Error | undefined): void => {
    if (error !== undefined) tally.problem = error.message;
    link = undefined;
    again = [...unsettled, ...again];
    // Exponential, with full jitter: devices that lost a server together must not return together.
    const limitMs = Math.min(options.backoff.maxMs, options.backoff.minMs * 2 ** attempts);
    attempts += 1;
    connectAt = clock.monotonic() + options.random.next() * limitMs;
  };

  const events = {
    connected(): void {
      tally.connected += 1;
      tally.connections += 1;
      pump(clock.monotonic());
    },
    acknowledged(message: DeviceMessage, startedAt: number): void {
      const now = clock.monotonic();
      attempts = 0;
      tally.open -= 1;
      tally.latency.record(now - startedAt);
      if (qos > 0) {
        tally.acknowledged += 1;
        options.onAcknowledged?.(message);
      }
      pump(now);
    },
    refused(_: DeviceMessage, reason: string): void {
      tally.problem = reason;
      tally.open -= 1;
      tally.refused += 1;
      pump(clock.monotonic());
    },
    closed(unsettled: readonly DeviceMessage[], error: Error | undefined): void {
      if (link?.wasConnected) tally.connected -= 1;
      closed(unsettled, error);
    },
  };

  return {
    get connectAt() {
      return link === undefined ? connectAt : undefined;
    },
    connect() {
      link = openLink({ ...options, clientId: device.id }, events);
    },
    due(now) {
      newest += 1;
      tally.momentsDue += 1;
      pump(now);
      while (newest - next + 1 > options.offlineMoments) tally.dropped += make().length;
    },
    silence() {
      silent = true;
      let unsent = 0;
      while (next <= newest) unsent += make().length;
      return unsent;
    },
    close: () => link?.close(),
    destroy: () => link?.destroy(),
  };
}
