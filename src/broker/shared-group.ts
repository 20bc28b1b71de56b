import type { Giver } from './delivery.ts';
import type { Position } from './journal.ts';
import type { Message } from './message.ts';
import { type Subscription, shareOf } from './session.ts';

export interface SharedGroupParts {
  readonly filter: string;
  readonly queuedMessages: number;
  readonly queuedBytes: number;
  /** Topics and payloads that wait, of all. */
  readonly held: { bytes: number };
  dropped(messages: number): void;
  /** Reads messages from the log, ascending. */
  load(positions: readonly Position[]): Promise<readonly Message[]>;
  failed(error: unknown): void;
}

/** Positions that are read from the log at once. */
const loadMessages = 64;

/**
 * The members of one shared subscription (OASIS MQTT 5.0, clause 4.8.2): each message goes to one of
 * them, in turn, and first to those that take it at once. What none takes waits.
 */
export class SharedGroup implements Giver {
  readonly filter: string;
  readonly members: Subscription[] = [];
  #next = 0;
  /** Messages for nobody yet, in their order; before them, what is still in the log. */
  #waiting: Message[] = [];
  #inLog: Position[] = [];
  #bytes = 0;
  #isGiving = false;
  #isLoading = false;
  readonly #parts: SharedGroupParts;

  constructor(parts: SharedGroupParts) {
    this.filter = parts.filter;
    this.#parts = parts;
  }

  get queued(): number {
    return this.#waiting.length + this.#inLog.length;
  }

  /** Takes the place of what the same session had here before. */
  join(member: Subscription): void {
    const before = this.members.findIndex(({ session }) => session === member.session);
    if (before < 0) this.members.push(member);
    else this.members[before] = member;
    this.give();
  }

  /** True when nobody is left. */
  leave(client: string): boolean {
    const index = this.members.findIndex(({ session }) => session.client === client);
    if (index >= 0) this.members.splice(index, 1);
    if (this.members.length > 0) return false;
    this.#hold(-this.#bytes);
    this.#waiting = [];
    this.#inLog = [];
    return true;
  }

  restore(waiting: readonly Position[]): void {
    this.#inLog = [...waiting];
  }

  route(message: Message): void {
    if (this.queued === 0 && this.#giveOne(message)) return;
    if (message.qos === 0 || !this.members.some(({ request }) => request.qos > 0)) {
      // Nobody is owed it; somebody who is slow may still take it.
      this.#sendTo(this.#pick(false), message);
      return;
    }
    if (!this.members.some(({ session }) => session.isConnected || session.isKept)) return;
    this.#waiting.push(message.own());
    this.#hold(message.heldBytes);
    this.#bound();
  }

  takeBack(messages: readonly Message[]): void {
    if (this.members.length === 0) return;
    this.#waiting = [...messages, ...this.#waiting].sort((a, b) => a.sequence - b.sequence);
    let bytes = 0;
    for (const message of messages) bytes += message.own().heldBytes;
    this.#hold(bytes);
    this.#bound();
    this.give();
  }

  give(): void {
    if (this.#isGiving || this.queued === 0) return;
    this.#isGiving = true;
    let given = 0;
    if (this.#inLog.length > 0) void this.#load();
    else while (given < this.#waiting.length && this.#giveOne(this.#waiting[given]!)) given += 1;
    let bytes = 0;
    for (let index = 0; index < given; index++) bytes += this.#waiting[index]!.heldBytes;
    if (given > 0) this.#waiting = this.#waiting.slice(given);
    this.#hold(-bytes);
    this.#isGiving = false;
  }

  #giveOne(message: Message): boolean {
    const member = this.#pick(true);
    if (member === undefined) return false;
    this.#sendTo(member, message);
    return true;
  }

  #sendTo(member: Subscription | undefined, message: Message): void {
    if (member === undefined) return;
    const share = shareOf(member, message);
    member.session.outbox.push(message, share, share.qos > 0 ? this : undefined);
  }

  /** The next in turn that is there, and takes it at once if that is asked for. */
  #pick(withRoom: boolean): Subscription | undefined {
    const { length } = this.members;
    for (let step = 0; step < length; step++) {
      const index = (this.#next + step) % length;
      const member = this.members[index]!;
      const { session } = member;
      if (!session.isConnected || (withRoom && !session.outbox.hasRoom)) continue;
      this.#next = (index + 1) % length;
      return member;
    }
    return undefined;
  }

  #bound(): void {
    const { queuedMessages, queuedBytes, dropped } = this.#parts;
    let gone = 0;
    while (
      this.queued > queuedMessages ||
      (this.#bytes > queuedBytes && this.#waiting.length > 0)
    ) {
      gone += 1;
      if (this.#inLog.length > 0) this.#inLog.shift();
      else this.#hold(-this.#waiting.shift()!.heldBytes);
    }
    if (gone > 0) dropped(gone);
  }

  #hold(bytes: number): void {
    this.#bytes += bytes;
    this.#parts.held.bytes += bytes;
  }

  async #load(): Promise<void> {
    if (this.#isLoading || this.#pick(true) === undefined) return;
    this.#isLoading = true;
    const positions = this.#inLog.slice(0, loadMessages);
    try {
      const messages = await this.#parts.load(positions);
      const last = positions.at(-1)!;
      this.#inLog = this.#inLog.filter((position) => position > last);
      if (this.members.length === 0) return;
      this.#waiting = [...messages, ...this.#waiting];
      let bytes = 0;
      for (const message of messages) bytes += message.heldBytes;
      this.#hold(bytes);
      const missing = positions.length - messages.length;
      if (missing > 0) this.#parts.dropped(missing);
    } catch (error) {
      this.#parts.failed(error);
      return;
    } finally {
      this.#isLoading = false;
    }
    this.give();
  }
}
