import type { Clock } from '../src/platform/clock.ts';
import type { Random } from '../src/platform/random.ts';
import type { Condition, LinkBehaviour } from './behaviour/condition.ts';
import type { Device, DeviceMessage } from './device.ts';
import type { Histogram } from './histogram.ts';
import type { Link, LinkEvents, Transport } from './link/link.ts';

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
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  /** Moments a device remembers while it cannot send; then it forgets the oldest. */
  readonly offlineMoments: number;
  readonly backoff: { readonly minMs: number; readonly maxMs: number };
  readonly link?: LinkBehaviour;
  readonly onSent?: (message: DeviceMessage) => void;
  readonly onAcknowledged?: (message: DeviceMessage) => void;
}

const present: Condition = {};
const nothing: readonly DeviceMessage[] = [];

/**
 * How one device gets its messages across: in order, within a window, again when the connection
 * broke. What waits is kept as numbers, since a device can make any of its messages again.
 */
export class Radio implements LinkEvents {
  private readonly device: Device;
  private readonly index: number;
  private readonly schedule: Schedule;
  private readonly options: RadioOptions;
  private readonly tally: Tally;
  private link: Link | undefined;
  /** Went mute, and stays open on the far side until there is another. */
  private ghost: Link | undefined;
  private isAway = false;
  private connectAt_: number;
  /** Attempts to connect since the last that led somewhere. */
  private attempts = 0;
  /** The newest moment that is due, and the oldest that is not made yet. */
  private newest = 0;
  private next = 1;
  /** Made and not sent, and handed back by a broken connection. In order. */
  private ready: readonly DeviceMessage[] = nothing;
  private again: readonly DeviceMessage[] = nothing;
  private isSilent = false;

  constructor(
    device: Device,
    index: number,
    firstConnectAt: number,
    schedule: Schedule,
    options: RadioOptions,
    tally: Tally,
  ) {
    this.device = device;
    this.index = index;
    this.schedule = schedule;
    this.options = options;
    this.tally = tally;
    this.connectAt_ = firstConnectAt;
  }

  /** When the next attempt to connect may be made; undefined while there is a connection. */
  get connectAt(): number | undefined {
    return this.link === undefined && !this.isAway ? this.connectAt_ : undefined;
  }

  connect(now: number): void {
    const { password, reads } = this.condition(now);
    const { id: clientId, will } = this.device;
    const caller = { clientId, will, password, reads };
    this.link = this.options.transport.open(caller, this, now);
  }

  /** Called now and then: comes and goes as its condition says, and looks after its connection. */
  tend(now: number): void {
    if (this.options.link !== undefined) this.live(now);
    this.link?.tend(now);
  }

  /** One more moment is due: sends it if it can, forgets the oldest if too many wait. */
  due(now: number): void {
    this.newest += 1;
    this.tally.momentsDue += 1;
    this.pump(now);
    while (this.newest - this.next + 1 > this.options.offlineMoments) {
      this.tally.dropped += this.make().length;
    }
  }

  /** Sends nothing more; the number of messages that were due and never sent. */
  silence(): number {
    this.isSilent = true;
    let unsent = 0;
    while (this.next <= this.newest) unsent += this.make().length;
    return unsent;
  }

  /** Says goodbye. */
  close(): void {
    this.isAway = true;
    this.link?.close();
  }

  /** Hangs up. */
  destroy(): void {
    this.link?.destroy();
    this.ghost?.destroy();
  }

  connected(): void {
    this.ghost?.destroy();
    this.ghost = undefined;
    this.tally.connected += 1;
    this.tally.connections += 1;
    const now = this.options.clock.monotonic();
    if (!this.isSilent && !this.again.some(({ seq }) => seq === 0)) {
      const waiting = this.ready.filter(({ seq }) => seq > 0);
      const dueMs = now - this.schedule.startAt;
      const hello = this.device.hello(this.options.clock.now(), dueMs);
      this.tally.open += hello.length + waiting.length - this.ready.length;
      this.ready = [...hello, ...waiting];
    }
    this.pump(now);
  }

  acknowledged(message: DeviceMessage, startedAt: number): void {
    const now = this.options.clock.monotonic();
    this.attempts = 0;
    this.tally.open -= 1;
    this.tally.latency.record(now - startedAt);
    if (this.options.transport.acknowledges) {
      this.tally.acknowledged += 1;
      this.options.onAcknowledged?.(message);
      this.pump(now);
    }
  }

  refused(_: DeviceMessage, reason: string): void {
    this.tally.problem = reason;
    this.tally.open -= 1;
    this.tally.refused += 1;
    this.pump(this.options.clock.monotonic());
  }

  closed(unsettled: readonly DeviceMessage[], error: Error | undefined): void {
    if (this.link?.wasConnected) this.tally.connected -= 1;
    if (error !== undefined) this.tally.problem = error.message;
    this.link = undefined;
    const kept = unsettled.filter(({ once }) => once === undefined);
    const given = unsettled.length - kept.length;
    this.tally.open -= given;
    this.tally.refused += given;
    this.again = kept.length === 0 ? this.again : [...kept, ...this.again];
    // Exponential, with full jitter: devices that lost a server together must not return together.
    const { minMs, maxMs } = this.options.backoff;
    const limitMs = Math.min(maxMs, minMs * 2 ** this.attempts);
    this.attempts += 1;
    this.connectAt_ = this.options.clock.monotonic() + this.options.random.next() * limitMs;
  }

  private condition(now: number): Condition {
    const { seed, startAt } = this.schedule;
    const standing = { seed, index: this.index, elapsedMs: Math.max(0, now - startAt) };
    return this.options.link?.(standing) ?? present;
  }

  private live(now: number): void {
    const { away } = this.condition(now);
    if (away === undefined) {
      // Whoever was away on purpose does not wait as after a failure.
      if (this.isAway && !this.isSilent) this.connectAt_ = now;
      this.isAway = this.isSilent && this.isAway;
      return;
    }
    this.isAway = true;
    if (this.link === undefined) return;
    if (away === 'half-open' && this.link.wasConnected) {
      this.ghost = this.link;
      this.link.abandon();
    } else this.link.destroy();
  }

  private dueMsOf(seq: number): number {
    const { devices, gapMs } = this.schedule;
    return Math.round((seq - 1) * devices * gapMs + this.index * gapMs);
  }

  private make(): readonly DeviceMessage[] {
    const { seed, devices, gapMs, startTime } = this.schedule;
    const seq = this.next++;
    this.tally.momentsMade += 1;
    const periodMs = devices * gapMs;
    const phaseMs = this.index * gapMs;
    const elapsedMs = this.dueMsOf(seq);
    const time = startTime + elapsedMs;
    return this.device.messagesAt({
      ...{ seed, index: this.index, life: 0, seq, elapsedMs, time, periodMs, phaseMs },
    });
  }

  /** What could have been sent earlier counts from then: waiting is part of the latency. */
  private send(to: Link, message: DeviceMessage, now: number, isAgain: boolean): void {
    if (isAgain) this.tally.resent += 1;
    else {
      this.tally.sent += 1;
      this.options.onSent?.(message);
    }
    const dueAt = this.schedule.startAt + message.dueMs;
    const isNew = !isAgain && message.dueMs >= this.dueMsOf(this.newest);
    to.send(message, isNew ? Math.max(now, dueAt) : Math.min(now, dueAt));
  }

  private pump(now: number): void {
    while (this.link !== undefined && this.link.room > 0 && !this.isSilent) {
      const isAgain = this.again.length > 0;
      const [message] = isAgain ? this.again : this.ready;
      if (message !== undefined) {
        if (isAgain) this.again = this.again.slice(1);
        else this.ready = this.ready.slice(1);
        this.send(this.link, message, now, isAgain);
      } else if (this.next <= this.newest) {
        this.ready = this.make();
        this.tally.open += this.ready.length;
      } else return;
    }
  }
}
