import type { Clock, ClockQuality } from '../../src/platform/clock.ts';

/** Turns of the event loop in which everything that needs no time is taken to have happened. */
const settleTurns = 16;

interface Sleeper {
  readonly due: number;
  readonly wake: () => void;
}

/**
 * Time that stands still until a test advances it. Sleepers are woken one at a time, in the order
 * in which they are due, and what follows from each settles before the next. Several gateways, one
 * after the other, may live on one clock.
 */
export class SimClock implements Clock {
  boot = '00000000-0000-4000-8000-000000000001';
  clockQuality: ClockQuality = 'synchronised';
  private wall: number;
  private elapsed = 0;
  private sleepers: Sleeper[] = [];

  constructor(wall = Date.UTC(2026, 10, 20, 12)) {
    this.wall = wall;
  }

  now(): number {
    return this.wall;
  }
  monotonic(): number {
    return this.elapsed;
  }
  quality(): ClockQuality {
    return this.clockQuality;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (ms <= 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const aborted = (): void => {
        this.sleepers = this.sleepers.filter((each) => each !== sleeper);
        reject(signal?.reason);
      };
      const sleeper: Sleeper = {
        due: this.elapsed + ms,
        wake: () => {
          signal?.removeEventListener('abort', aborted);
          resolve();
        },
      };
      signal?.addEventListener('abort', aborted, { once: true });
      this.sleepers.push(sleeper);
    });
  }

  /** Lets `ms` pass. Resolves when everything that was due has happened. */
  async advance(ms: number): Promise<void> {
    const until = this.elapsed + ms;
    await this.settle();
    for (let next = this.nextBefore(until); next !== undefined; next = this.nextBefore(until)) {
      this.moveTo(Math.max(next.due, this.elapsed));
      this.sleepers.splice(this.sleepers.indexOf(next), 1);
      next.wake();
      await this.settle();
    }
    this.moveTo(until);
  }

  /** The machine was too busy to notice: time has passed, and nobody has been woken yet. */
  stall(ms: number): void {
    this.moveTo(this.elapsed + ms);
  }

  /** Somebody sets the wall clock; `wallMs` may be negative. No time passes. */
  jump(wallMs: number): void {
    this.wall += wallMs;
  }

  /** The machine starts again: the monotonic clock begins anew and nobody sleeps any more. */
  reboot(): void {
    this.sleepers = [];
    this.elapsed = 0;
    const count = Number.parseInt(this.boot.slice(-12), 16) + 1;
    this.boot = this.boot.slice(0, -12) + count.toString(16).padStart(12, '0');
  }

  /** Those who sleep at the moment. */
  get sleeping(): number {
    return this.sleepers.length;
  }

  /** Resolves when everything that needs no time has happened. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < settleTurns; turn++) {
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

  private moveTo(elapsed: number): void {
    this.wall += elapsed - this.elapsed;
    this.elapsed = elapsed;
  }

  private nextBefore(until: number): Sleeper | undefined {
    let next: Sleeper | undefined;
    for (const sleeper of this.sleepers) {
      if (sleeper.due <= until && (next === undefined || sleeper.due < next.due)) next = sleeper;
    }
    return next;
  }
}
