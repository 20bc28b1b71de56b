import { createHmac } from 'node:crypto';
import type { Clock } from '../platform/clock.ts';
import type { Random } from '../platform/random.ts';
import { Attempts } from './attempts.ts';
import { isPassword, type PasswordHash, type Passwords } from './password-file.ts';

/** What became of a user name and a password; `gone` when nobody waits for the answer any more. */
export type Verdict = 'right' | 'credentials' | 'attempts' | 'busy' | 'gone';

/** Somebody who says who they are. */
export interface Claim {
  readonly address: string;
  readonly username: string;
  readonly password: Uint8Array;
  isGone(): boolean;
}

/** Two threads of four: the disk needs the others. */
const atOnceMax = 2;
const waitingMax = 2000;
/** Whoever fails 5 times as a user from one address waits 10 s for each further attempt. */
const perUser = { failures: 5, everyMs: 10_000 };
/** Devices behind one router share its address, so that may fail more often. */
const perAddress = { failures: 100, everyMs: 1000 };
const namesMax = 10_000;
const knownMax = 2000;

/**
 * Verifies passwords off the event loop, few at once, and slows down who guesses. A password that
 * was right is known again without being hashed anew, so that a thousand devices that come back at
 * once are let in at once; what is remembered of it does not give it away.
 */
export class Verifier {
  readonly #now: () => number;
  readonly #key: Buffer;
  readonly #users = new Attempts(perUser, namesMax);
  readonly #addresses = new Attempts(perAddress, namesMax);
  readonly #known = new Set<string>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor({ clock, random }: { readonly clock: Clock; readonly random: Random }) {
    this.#now = () => clock.monotonic();
    this.#key = Buffer.from(Array.from({ length: 32 }, () => Math.floor(random.next() * 256)));
  }

  /** How much it remembers, and how many wait. */
  get sizes(): { readonly attempts: number; readonly known: number; readonly waiting: number } {
    return {
      attempts: this.#users.size + this.#addresses.size,
      known: this.#known.size,
      waiting: this.#waiting.length,
    };
  }

  async verify(passwords: Passwords, claim: Claim): Promise<Verdict> {
    if (!this.may(claim)) return 'attempts';
    const kept = passwords.get(claim.username);
    const seal = this.#sealOf(kept, claim);
    if (this.#known.has(seal)) return 'right';
    if (this.#running < atOnceMax) this.#running += 1;
    else if (this.#waiting.length >= waitingMax) return 'busy';
    else await new Promise<void>((resolve) => void this.#waiting.push(resolve));
    try {
      if (claim.isGone()) return 'gone';
      // Others from there may have failed meanwhile, or the same client has been let in.
      if (!this.may(claim)) return 'attempts';
      if (this.#known.has(seal)) return 'right';
      // Who is unknown costs as much time as who is known.
      const other: PasswordHash | undefined = passwords.values().next().value;
      const against = kept ?? other;
      const isRight = against !== undefined && (await isPassword(against, claim.password));
      if (kept !== undefined && isRight) this.#remember(seal);
      else this.failed(claim);
      return kept !== undefined && isRight ? 'right' : 'credentials';
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }

  /** Whether anybody may try, from that address, to be that user. */
  may({ address, username }: Pick<Claim, 'address' | 'username'>): boolean {
    const now = this.#now();
    return this.#addresses.may(address, now) && this.#users.may(nameOf(address, username), now);
  }

  /** Somebody has tried and did not know the password. */
  failed({ address, username }: Pick<Claim, 'address' | 'username'>): void {
    const now = this.#now();
    this.#addresses.failed(address, now);
    this.#users.failed(nameOf(address, username), now);
  }

  /** A salt for who is unknown: always the same, so that nobody sees that they are. */
  saltFor(username: string): Buffer {
    return createHmac('sha256', this.#key).update(`salt ${username}`).digest().subarray(0, 12);
  }

  /** Differs when the password in the file does. */
  #sealOf(kept: PasswordHash | undefined, { username, password }: Claim): string {
    const seal = createHmac('sha256', this.#key).update(`${username.length} ${username}`);
    if (kept !== undefined) seal.update(kept.salt).update(kept.hash);
    return seal.update(password).digest('base64');
  }

  #remember(seal: string): void {
    this.#known.add(seal);
    if (this.#known.size > knownMax) this.#known.delete(this.#known.values().next().value!);
  }
}

function nameOf(address: string, username: string): string {
  return `${address} ${username.slice(0, 200)}`;
}
