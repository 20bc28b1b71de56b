import { createSecretKey, hkdfSync, type KeyObject } from 'node:crypto';
import { GatewayError } from '../platform/errors.ts';

export const keyBytes = 32;
/** More derived keys than this are not remembered; a reader needs one at a time. */
const derivedMax = 64;

/** One key of the log. Nothing is sealed with it itself, only with keys derived from it. */
export interface LogKey {
  /** 32 bits that follow from the key and say nothing about it; never 0. */
  readonly id: number;
  /** The AES-256 key for one purpose: HKDF-SHA-256 (RFC 5869) with that purpose as its info. */
  derived(purpose: string): KeyObject;
}

/** The keys that the log and the cursors are sealed and opened with. */
export interface Keyring {
  /** What is written from now on is sealed with this; without it, it is written in plain. */
  readonly current: LogKey | undefined;
  has(id: number): boolean;
  /** Throws GW_CONFIG_KEY_MISSING for a key that is not among ours; `what` was sealed with it. */
  keyOf(id: number, what: string): LogKey;
}

/** Of 32 bytes each. The previous ones only open what they have sealed. */
export function createKeyring(
  current: Uint8Array | undefined,
  previous: readonly Uint8Array[] = [],
): Keyring {
  const newest = current === undefined ? undefined : createKey(current);
  const keys = new Map<number, LogKey>();
  for (const bytes of previous) {
    const key = createKey(bytes);
    keys.set(key.id, key);
  }
  if (newest !== undefined) keys.set(newest.id, newest);
  return {
    current: newest,
    has: (id) => keys.has(id),
    keyOf(id, what) {
      const key = keys.get(id);
      if (key !== undefined) return key;
      const ours = [...keys.keys()].map(keyNameOf).join(', ');
      const given = ours === '' ? 'none is configured' : `configured: ${ours}`;
      throw new GatewayError(
        'GW_CONFIG_KEY_MISSING',
        `${what} is encrypted with the key ${keyNameOf(id)} (${given})`,
      );
    },
  };
}

/** For what is not encrypted. */
export const noKeys: Keyring = createKeyring(undefined);

/** How a key is called where people read it. */
export const keyNameOf = (id: number): string => id.toString(16).padStart(8, '0');

/**
 * The 32 bytes that a text stands for, in hexadecimal or base64. Throws GW_CONFIG_KEY_INVALID for
 * any other, without a word of what it says. `where` is the option it came from.
 */
export function keyBytesOf(text: string, where: string): Uint8Array {
  const trimmed = text.trim();
  if (/^[0-9a-fA-F]{64}$/.test(trimmed)) return Buffer.from(trimmed, 'hex');
  if (/^[A-Za-z0-9+/_-]{43}=?$/.test(trimmed)) {
    const bytes = Buffer.from(trimmed, 'base64');
    if (bytes.length === keyBytes) return bytes;
  }
  throw new GatewayError('GW_CONFIG_KEY_INVALID', `${where} has ${trimmed.length} characters`);
}

function createKey(bytes: Uint8Array): LogKey {
  if (bytes.length !== keyBytes) throw new RangeError(`a key has ${keyBytes} bytes`);
  const secret = createSecretKey(bytes);
  const derive = (purpose: string, length: number): Buffer =>
    Buffer.from(hkdfSync('sha256', secret, '', `tidegate ${purpose}`, length));
  const derived = new Map<string, KeyObject>();
  return {
    id: derive('key id', 4).readUInt32LE() || 1,
    derived(purpose) {
      let key = derived.get(purpose);
      if (key === undefined) {
        if (derived.size >= derivedMax) derived.clear();
        key = createSecretKey(derive(purpose, keyBytes));
        derived.set(purpose, key);
      }
      return key;
    },
  };
}
