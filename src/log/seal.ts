import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto';
import type { Random } from '../platform/random.ts';
import { FormatError } from './byte-reader.ts';
import type { LogKey } from './keyring.ts';

/** AES-256-GCM (NIST SP 800-38D), with nonces of 96 bits and whole tags. */
const algorithm = 'aes-256-gcm';
export const nonceBytes = 12;
export const tagBytes = 16;

/**
 * Positions whose groups share a derived key. A nonce is drawn at random for each group, so what
 * matters is how many a key seals: a million at most, however long the log lives, and two of them
 * are alike with a probability below 2^-56. A counter would have to survive a power cut to be safe:
 * what was written but not acknowledged is written again at the same place, and differs.
 */
const positionsPerKey = 2 ** 20;

export const groupPurpose = (logId: number, first: number): string =>
  `group ${logId} ${Math.floor(first / positionsPerKey)}`;

/** A key to seal with, and the chance that nonces are drawn from. */
export interface Sealing {
  readonly key: LogKey;
  readonly random: Random;
}

export function drawNonce(random: Random, into: Buffer, at: number): void {
  for (let i = 0; i < nonceBytes; i += 4) {
    into.writeUInt32LE(Math.floor(random.next() * 2 ** 32), at + i);
  }
}

/** Encrypts `bytes` from `from` to `to` where they stand; the tag goes behind them. */
export function sealInPlace(
  bytes: Buffer,
  from: number,
  to: number,
  parts: { readonly key: KeyObject; readonly nonce: Buffer; readonly authenticated: Buffer },
): void {
  const cipher = createCipheriv(algorithm, parts.key, parts.nonce);
  cipher.setAAD(parts.authenticated);
  cipher.update(bytes.subarray(from, to)).copy(bytes, from);
  cipher.final();
  cipher.getAuthTag().copy(bytes, to);
}

/** What was sealed, with its tag behind it. Throws `FormatError` when it is not what was sealed. */
export function unseal(
  sealed: Buffer,
  parts: { readonly key: KeyObject; readonly nonce: Buffer; readonly authenticated: Buffer },
): Buffer {
  const end = sealed.length - tagBytes;
  if (end < 0) throw new FormatError('what is encrypted is too short');
  const decipher = createDecipheriv(algorithm, parts.key, parts.nonce, {
    authTagLength: tagBytes,
  });
  decipher.setAAD(parts.authenticated);
  decipher.setAuthTag(sealed.subarray(end));
  const plain = decipher.update(sealed.subarray(0, end));
  try {
    decipher.final();
  } catch {
    throw new FormatError('what is encrypted has been changed');
  }
  return plain;
}
