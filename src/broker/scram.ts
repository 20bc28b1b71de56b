/**
 * The server's side of SCRAM-SHA-256 (RFC 5802 and 7677), without channel binding:
 *
 *   client   n,,n=NAME,r=NONCE
 *   server   r=NONCE+MORE,s=SALT,i=ITERATIONS
 *   client   c=biws,r=NONCE+MORE,p=PROOF
 *   server   v=SIGNATURE
 *
 * The password never passes, and what the server keeps does not let anybody log in as the user.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

export const scramMethod = 'SCRAM-SHA-256';

/** What is kept of a password: enough to verify who knows it. */
export interface ScramKeys {
  readonly iterations: number;
  readonly salt: Buffer;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

/** The keys of a password that was salted and stretched: PBKDF2-HMAC-SHA256, 32 bytes. */
export function scramKeysOf(salted: Buffer): Pick<ScramKeys, 'storedKey' | 'serverKey'> {
  const storedKey = sha256(hmac(salted, 'Client Key'));
  return { storedKey, serverKey: hmac(salted, 'Server Key') };
}

/** An exchange that waits for the client's proof. */
export interface Challenge {
  readonly username: string;
  /** What the server sends. */
  readonly message: Buffer;
  /** The server's signature when the client knows the password; undefined when it does not. */
  answer(clientFinal: Buffer): Buffer | undefined;
}

/** Far more than any name and nonce need. */
const messageBytesMax = 4096;
const first = /^([ny],(?:a=([^,]*))?,)(n=([^,]*),r=([\x21-\x2b\x2d-\x7e]+)(?:,.*)?)$/s;
const final = /^(c=([^,]+),r=([^,]+)(?:,.*)?),p=([^,]+)$/s;

/** Reads the client's first message; undefined when it is not sound, or asks for what is not there. */
export function challengeOf(
  clientFirst: Buffer,
  nonce: string,
  keysOf: (username: string) => ScramKeys,
): Challenge | undefined {
  if (clientFirst.length > messageBytesMax) return undefined;
  const [, header, authorized, bare, name, clientNonce] = first.exec(clientFirst.toString()) ?? [];
  if (header === undefined || bare === undefined) return undefined;
  const username = unescaped(name!);
  if (username === undefined || username === '') return undefined;
  // To act as somebody else is not possible here.
  if (authorized !== undefined && unescaped(authorized) !== username) return undefined;
  const keys = keysOf(username);
  const both = `${clientNonce}${nonce}`;
  const message = `r=${both},s=${keys.salt.toString('base64')},i=${keys.iterations}`;
  const binding = Buffer.from(header).toString('base64');
  return {
    username,
    message: Buffer.from(message),
    answer(clientFinal) {
      if (clientFinal.length > messageBytesMax) return undefined;
      const [, withoutProof, given, echoed, proof] = final.exec(clientFinal.toString()) ?? [];
      if (withoutProof === undefined || given !== binding || echoed !== both) return undefined;
      const signed = `${bare},${message},${withoutProof}`;
      if (!isProof(Buffer.from(proof!, 'base64'), keys.storedKey, signed)) return undefined;
      return Buffer.from(`v=${hmac(keys.serverKey, signed).toString('base64')}`);
    },
  };
}

function isProof(proof: Buffer, storedKey: Buffer, signed: string): boolean {
  const signature = hmac(storedKey, signed);
  if (proof.length !== signature.length) return false;
  const clientKey = Buffer.from(proof.map((byte, index) => byte ^ signature[index]!));
  return timingSafeEqual(sha256(clientKey), storedKey);
}

/** `=2C` is a comma and `=3D` an equals sign; nothing else may be escaped. */
function unescaped(name: string): string | undefined {
  if (/=(?!2C|3D)/.test(name)) return undefined;
  return name.replaceAll('=2C', ',').replaceAll('=3D', '=');
}

function hmac(key: Uint8Array, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}
