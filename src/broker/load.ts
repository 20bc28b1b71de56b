/**
 * How much happens in a minute, averaged over the last minutes with less weight the longer ago it
 * was: as the load of a machine, and as Mosquitto counts it.
 */
export class Load {
  readonly #minutes: number;
  #perMinute = 0;

  constructor(minutes: number) {
    this.#minutes = minutes;
  }

  /** So many more have happened in that time. */
  add(count: number, elapsedMs: number): void {
    if (elapsedMs <= 0) return;
    const kept = Math.exp(-elapsedMs / (this.#minutes * minuteMs));
    const now = (count * minuteMs) / elapsedMs;
    this.#perMinute = now + (this.#perMinute - now) * kept;
  }

  get perMinute(): number {
    return this.#perMinute;
  }
}
const minuteMs = 60_000;
