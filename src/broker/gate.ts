import type { Clock } from '../platform/clock.ts';
import type { Bounds } from './bounds.ts';

/** How often a client that was too fast is looked at again. */
const paceMs = 20;

/** What is let in at once is to keep the processor about so long, … */
const turnMs = 4;
/** … by what the last messages took, about so many of them; … */
const rememberedMessages = 2000;
/** … but each client may hand in so many, and all together no more than that. */
const turnMessagesMin = 8;
const turnMessagesMax = 4096;

/** What is safe, and on its way to subscribers. */
interface Routing {
  /** Whether more of it is the client's than may be. */
  isBehind(client: string): boolean;
}

/** What one client has waiting, and how fast it may go on. */
export interface Account {
  messages: number;
  bytes: number;
  tokens: number;
  refilledAt: number;
  /** Who it is. */
  readonly owner: { readonly client: string };
  /** Called when reading may go on. */
  readonly resume: () => void;
}

/**
 * Bounds what waits to be durable, of one client and of all together, and how fast one client may
 * publish. Nothing is dropped for it: whoever is over a limit is not read from.
 */
export class Gate {
  #messages = 0;
  #bytes = 0;
  #closed = false;
  /** Messages that may still be let in before others have their turn. */
  #turnLeft = turnMessagesMax;
  #isTurnOver = true;
  /** What messages of late took, with less weight the longer ago. */
  readonly #work = { messages: 0, ms: 0 };
  #pacing = false;
  readonly #stalled = new Set<Account>();
  readonly #bounds: Bounds;
  readonly #rate: number;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #routing: Routing;

  constructor(parts: {
    readonly bounds: Bounds;
    readonly messagesPerSecond: number;
    readonly clock: Clock;
    /** Aborted when nobody needs to be let in any more. */
    readonly signal: AbortSignal;
    readonly routing: Routing;
  }) {
    this.#bounds = parts.bounds;
    this.#rate = parts.messagesPerSecond;
    this.#clock = parts.clock;
    this.#signal = parts.signal;
    this.#routing = parts.routing;
  }

  open(owner: Account['owner'], resume: () => void): Account {
    const refilledAt = this.#clock.monotonic();
    return { messages: 0, bytes: 0, tokens: Math.max(1, this.#rate), refilledAt, owner, resume };
  }

  /** What the client still had waiting no longer counts. */
  forget(account: Account): void {
    this.#messages -= account.messages;
    this.#bytes -= account.bytes;
    account.messages = 0;
    account.bytes = 0;
    this.#stalled.delete(account);
  }

  /** How many messages the client may hand in now. */
  allowance(account: Account): number {
    const { totalMessages, totalBytes, clientMessages, clientBytes } = this.#bounds;
    if (this.#closed || this.#routing.isBehind(account.owner.client)) return 0;
    if (this.#messages >= totalMessages || this.#bytes >= totalBytes) return 0;
    if (account.messages >= clientMessages || account.bytes >= clientBytes) return 0;
    const turn = Math.max(turnMessagesMin, this.#turnLeft);
    const room = Math.min(clientMessages - account.messages, turn);
    if (this.#rate === 0) return room;
    this.#refill(account);
    return Math.min(room, Math.floor(account.tokens));
  }

  /** So many messages have passed. */
  spend(account: Account, messages: number): void {
    account.tokens -= messages;
    this.#turnLeft -= messages;
    if (!this.#isTurnOver) return;
    this.#isTurnOver = false;
    void this.#endTurn();
  }

  /** So many messages, or more of the same ones, have kept the processor for so long. */
  worked(messages: number, ms: number): void {
    const work = this.#work;
    work.messages += messages;
    work.ms += ms;
    if (work.messages > rememberedMessages) {
      work.ms *= rememberedMessages / work.messages;
      work.messages = rememberedMessages;
    }
    this.#turnLeft = Math.min(this.#turnLeft, this.#turnMessages);
  }

  /** How many messages keep the processor for as long as a turn is to be. */
  get #turnMessages(): number {
    const { messages, ms } = this.#work;
    const inTime = ms === 0 ? turnMessagesMax : Math.floor((turnMs * messages) / ms);
    return Math.max(turnMessagesMin, Math.min(turnMessagesMax, inTime));
  }

  async #endTurn(): Promise<void> {
    await this.#clock.sleep(0);
    this.#turnLeft = this.#turnMessages;
    this.#isTurnOver = true;
    this.reopen();
  }

  enter(account: Account, bytes: number): void {
    account.messages += 1;
    account.bytes += bytes;
    this.#messages += 1;
    this.#bytes += bytes;
  }

  leave(account: Account, bytes: number, messages = 1): void {
    account.messages -= messages;
    account.bytes -= bytes;
    this.#messages -= messages;
    this.#bytes -= bytes;
  }

  /** The client is not read from until its `resume` is called. */
  stall(account: Account): void {
    this.#stalled.add(account);
    if (!this.#pacing) void this.#pace();
  }

  /** Calls `resume` for whoever has room again. */
  reopen(): void {
    if (this.#stalled.size === 0 || this.#closed) return;
    const { totalMessages, totalBytes } = this.#bounds;
    // Only at half, so that nobody starts and stops for every single message.
    if (this.#messages > totalMessages / 2 || this.#bytes > totalBytes / 2) return;
    // Who resumes may stall again at once, and is then at the end of the line.
    for (const account of [...this.#stalled]) {
      if (this.#messages >= totalMessages || this.#bytes >= totalBytes) return;
      if (this.#turnLeft <= 0) return;
      if (!this.#hasRoom(account)) continue;
      this.#stalled.delete(account);
      account.resume();
    }
  }

  /** From now on nobody hands in anything. */
  close(): void {
    this.#closed = true;
    this.#stalled.clear();
  }

  #hasRoom(account: Account): boolean {
    const { clientMessages, clientBytes } = this.#bounds;
    if (account.messages > clientMessages / 2 || account.bytes > clientBytes / 2) return false;
    if (this.#routing.isBehind(account.owner.client)) return false;
    if (this.#rate === 0) return true;
    this.#refill(account);
    return account.tokens >= Math.max(1, Math.min(this.#rate, clientMessages) / 100);
  }

  #refill(account: Account): void {
    const now = this.#clock.monotonic();
    const earned = ((now - account.refilledAt) * this.#rate) / 1000;
    account.tokens = Math.min(Math.max(1, this.#rate), account.tokens + earned);
    account.refilledAt = now;
  }

  /** Time and deliveries give room without anybody saying so. */
  async #pace(): Promise<void> {
    this.#pacing = true;
    try {
      while (this.#stalled.size > 0) {
        await this.#clock.sleep(paceMs, this.#signal);
        this.reopen();
      }
    } catch {
      // Only the signal ends it.
    }
    this.#pacing = false;
  }
}
