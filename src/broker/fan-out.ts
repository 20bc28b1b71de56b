import type { Bounds } from './bounds.ts';
import type { CombinedShare } from './delivery.ts';
import type { Position } from './journal.ts';
import type { Message } from './message.ts';
import { combine, combinedOf, isOwn, type Session, type Subscription, shareOf } from './session.ts';
import { SharedGroup } from './shared-group.ts';

export type Taker = Subscription | SharedGroup;

export interface FanOutParts {
  readonly bounds: Pick<Bounds, 'clientMessages' | 'clientBytes' | 'totalBytes'>;
  /** The monotonic clock. */
  readonly now: () => number;
  /** Resolves when others have had their turn. */
  readonly rest: () => Promise<void>;
}

interface Job {
  readonly message: Message;
  /** Finds who gets it; from then on it counts as published. */
  readonly begin: () => Iterable<readonly Taker[]>;
  readonly done: () => void;
}

/** What one publisher has on its way. */
interface Owed {
  messages: number;
  bytes: number;
}

/** Others have a turn after so long, … */
const turnMs = 2;
/** … and the time is looked at after so many. */
const lookEvery = 8;
const settled = Promise.resolve();

/**
 * Messages for so many that handing them out takes longer than a turn, one after another. What comes
 * meanwhile from another publisher under another topic need not wait for them: only those of one
 * publisher, and those under one topic, must stay in their order [MQTT-4.6.0-6].
 */
export class FanOut {
  readonly #parts: FanOutParts;
  #jobs: Job[] = [];
  #bytes = 0;
  #running: Promise<void> | undefined;
  #turnEndsAt = 0;
  readonly #publishers = new Map<string | undefined, Owed>();
  readonly #topics = new Map<string, number>();

  constructor(parts: FanOutParts) {
    this.#parts = parts;
  }

  /** Whether something goes before this message. */
  mustWait({ from, topic }: Message): boolean {
    return this.#jobs.length > 0 && (this.#publishers.has(from) || this.#topics.has(topic));
  }

  /** Whether the publisher is to wait until less of what it has published is on its way. */
  isBehind(client: string | undefined): boolean {
    const owed = this.#publishers.get(client);
    if (owed === undefined) return false;
    const { clientMessages, clientBytes, totalBytes } = this.#parts.bounds;
    if (owed.messages >= clientMessages || owed.bytes >= clientBytes) return true;
    return this.#bytes >= totalBytes;
  }

  /** The lowest position in the log of what not everybody has been handed; Infinity for none. */
  get lowest(): Position {
    // They come in the order of the log.
    const first = this.#jobs.find(({ message }) => message.position >= 0);
    return first?.message.position ?? Number.POSITIVE_INFINITY;
  }

  /** Resolves when everybody has been handed it. */
  add(message: Message, begin: Job['begin']): Promise<void> {
    return new Promise((done) => {
      this.#jobs.push({ message: message.own(), begin, done });
      this.#count(message, 1);
      this.#running ??= this.#run();
    });
  }

  /** Resolves when everything is handed out. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    this.#turnEndsAt = this.#parts.now() + turnMs;
    for (let job = this.#jobs[0]; job !== undefined; job = this.#jobs[0]) {
      const { message, begin, done } = job;
      message.setOut();
      await this.#handOut(message, begin());
      message.arrived();
      this.#jobs.shift();
      this.#count(message, -1);
      done();
    }
    this.#running = undefined;
  }

  async #handOut(message: Message, takers: Iterable<readonly Taker[]>): Promise<void> {
    const shares = new Shares(message);
    let steps = 0;
    for (const some of takers) {
      for (const taker of some) {
        const current = currentOf(taker, message);
        if (current !== undefined) shares.add(current);
        if (++steps % lookEvery === 0) await this.#look();
      }
      if (++steps % lookEvery === 0) await this.#look();
    }
    for (const [session, share] of shares.combined) {
      // It may have ended meanwhile.
      if (session.subscriptions.size > 0) session.outbox.push(message, share);
      if (++steps % lookEvery === 0) await this.#look();
    }
  }

  async #look(): Promise<void> {
    // What was written leaves at the end of the turn, which takes the longest.
    await settled;
    if (this.#parts.now() < this.#turnEndsAt) return;
    await this.#parts.rest();
    this.#turnEndsAt = this.#parts.now() + turnMs;
  }

  #count(message: Message, messages: 1 | -1): void {
    const { from, topic, heldBytes } = message;
    const bytes = messages * heldBytes;
    this.#bytes += bytes;
    const owed = this.#publishers.get(from) ?? { messages: 0, bytes: 0 };
    owed.messages += messages;
    owed.bytes += bytes;
    if (owed.messages === 0) this.#publishers.delete(from);
    else this.#publishers.set(from, owed);
    const same = (this.#topics.get(topic) ?? 0) + messages;
    if (same === 0) this.#topics.delete(topic);
    else this.#topics.set(topic, same);
  }
}

/**
 * What has become of a taker: it may have been replaced, or be gone. Who subscribed after a message
 * was published has had it as a retained one, or not at all.
 */
function currentOf(taker: Taker, message: Message): Taker | undefined {
  if (taker instanceof SharedGroup) return taker;
  const current = taker.session.subscriptions.get(taker.request.filter);
  return current !== undefined && current.since! < message.sequence ? current : undefined;
}

/** Hands one message out, but to those who may want it more than once: what they get is `combined`. */
export class Shares {
  readonly combined = new Map<Session, CombinedShare>();
  readonly #message: Message;

  constructor(message: Message) {
    this.#message = message;
  }

  add(taker: Taker): void {
    const message = this.#message;
    if (taker instanceof SharedGroup) {
      taker.route(message);
      return;
    }
    if (isOwn(taker, message)) return;
    const { session } = taker;
    const share = shareOf(taker, message);
    const before = this.combined.get(session);
    if (before !== undefined) combine(before, share);
    else if (session.subscriptions.size === 1) session.outbox.push(message, share);
    else this.combined.set(session, combinedOf(share));
  }
}
