import type { Random } from '../platform/random.ts';
import type { Access } from './access.ts';
import type { Connection } from './connection.ts';
import { broken } from './decode/clauses.ts';
import { Refusal } from './decode/refusal.ts';
import { textProperty } from './encode-publish.ts';
import type { AuthPacket, ConnectRequest } from './packets.ts';
import { type Challenge, challengeOf, scramMethod } from './scram.ts';
import type { Verifier } from './verifier.ts';

/** What the exchange needs of a guard. */
interface Asked {
  readonly connection: Connection;
  readonly request: ConnectRequest | undefined;
  readonly isReady: boolean;
  refuse(refusal: Refusal): void;
}

interface Exchange {
  readonly challenge: Challenge;
  /** What begins when it has succeeded; not given when the client is connected already. */
  readonly proceed: (() => void) | undefined;
}

const success = 0;
const goOn = 0x18;
const beginAnew = 0x19;
const nonceBytes = 18;
const wrong = new Refusal('not_authorized', '4.12.0-4', '');

/**
 * Enhanced authentication with SCRAM-SHA-256 (OASIS MQTT 5.0, clause 4.12): when connecting, and
 * again while connected. Every other method is refused with 0x8C.
 */
export class EnhancedAuthentication {
  readonly #exchanges = new WeakMap<Asked, Exchange>();
  readonly #accessOf: (connection: Connection) => Access;
  readonly #verifier: Verifier;
  readonly #random: Random;

  constructor(parts: {
    accessOf(connection: Connection): Access;
    readonly verifier: Verifier;
    readonly random: Random;
  }) {
    this.#accessOf = parts.accessOf;
    this.#verifier = parts.verifier;
    this.#random = parts.random;
  }

  /** A CONNECT asks for it; `proceed` is called when the client has proved who it is. */
  begin(guard: Asked, proceed: () => void): void {
    const { authenticationMethod, authenticationData } = guard.request!;
    if (authenticationMethod !== scramMethod || !this.#accessOf(guard.connection).hasScram) {
      guard.refuse(broken.authenticationMethod);
      return;
    }
    this.#challenge(guard, authenticationData, proceed);
  }

  received(guard: Asked, { reason, data }: AuthPacket): void {
    if (reason === beginAnew) {
      if (guard.isReady) this.#challenge(guard, data, undefined);
      else guard.refuse(broken.authUnexpected);
      return;
    }
    const exchange = this.#exchanges.get(guard);
    this.#exchanges.delete(guard);
    if (exchange === undefined) {
      guard.refuse(broken.authUnexpected);
      return;
    }
    const { challenge, proceed } = exchange;
    const { connection } = guard;
    const { address } = connection;
    const { username } = challenge;
    const signature = data === undefined ? undefined : challenge.answer(data);
    if (signature === undefined) {
      this.#verifier.failed({ address, username });
      guard.refuse(wrong);
    } else if (proceed !== undefined) {
      connection.authentication = { method: scramMethod, data: signature, username };
      proceed();
    } else if (username === connection.rights.username) {
      send(connection, success, signature);
    } else {
      guard.refuse(wrong);
    }
  }

  #challenge(guard: Asked, data: Buffer | undefined, proceed: Exchange['proceed']): void {
    const { connection } = guard;
    const access = this.#accessOf(connection);
    const keysOf = (username: string) => access.scramKeysOf(username);
    const nonce = Buffer.from(
      Array.from({ length: nonceBytes }, () => Math.floor(this.#random.next() * 256)),
    );
    const challenge =
      data === undefined ? undefined : challengeOf(data, nonce.toString('base64'), keysOf);
    const { address } = connection;
    const may =
      challenge !== undefined && this.#verifier.may({ address, username: challenge.username });
    if (!may) {
      guard.refuse(wrong);
      return;
    }
    this.#exchanges.set(guard, { challenge, proceed });
    send(connection, goOn, challenge.message);
  }
}

/** An AUTH packet (clause 3.15). */
function send(connection: Connection, reason: number, data: Buffer): void {
  const properties = Buffer.concat([
    ...textProperty(0x15, scramMethod),
    Uint8Array.of(0x16, data.length >> 8, data.length & 0xff),
    data,
  ]);
  const body = Buffer.concat([Uint8Array.of(reason, ...varint(properties.length)), properties]);
  connection.answer(Buffer.concat([Uint8Array.of(0xf0, ...varint(body.length)), body]));
}

/** What is sent is shorter than 16,384 bytes. */
function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, value >> 7];
}
