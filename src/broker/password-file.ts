import { createHash, pbkdf2, timingSafeEqual } from 'node:crypto';
import type { FileProblem } from './acl.ts';
import { scramKeysOf } from './scram.ts';

/** How a password is kept: what comes out when it is hashed with this salt. */
export interface PasswordHash {
  /** Rounds of PBKDF2-HMAC-SHA512 (RFC 8018); 0 is one SHA-512 of password and salt. */
  readonly iterations: number;
  readonly salt: Buffer;
  readonly hash: Buffer;
  /** Given for SCRAM-SHA-256 (RFC 7677): `hash` is the stored key, of PBKDF2-HMAC-SHA256. */
  readonly serverKey?: Buffer;
}

export type Passwords = ReadonlyMap<string, PasswordHash>;

const hashBytes = 64;
/** More would keep one core busy for many seconds at every login. */
const iterationsMax = 10_000_000;
const nameBytesMax = 65_535;

/**
 * Reads a password file of Mosquitto: `name:$7$iterations$salt$hash` or `name:$6$salt$hash`, with
 * salt and hash in base64; and our own `name:$scram-sha-256$iterations$salt$storedKey$serverKey`. Where there are problems, the passwords are not to be used.
 */
export function parsePasswords(text: string): {
  readonly passwords: Passwords;
  readonly problems: FileProblem[];
} {
  const passwords = new Map<string, PasswordHash>();
  const lines = new Map<string, number>();
  const problems: FileProblem[] = [];
  for (const [index, given] of text.split('\n').entries()) {
    const text = given.trim();
    if (text === '' || given.startsWith('#')) continue;
    const line = index + 1;
    const parsed = parseLine(text);
    if ('message' in parsed) {
      problems.push({ line, ...parsed });
      continue;
    }
    const { name, hash } = parsed;
    const known = lines.get(name);
    if (known !== undefined) {
      const message = `the user ${JSON.stringify(name)} stands in line ${known}, too. Remove one.`;
      problems.push({ line, column: 1, message });
    }
    lines.set(name, line);
    passwords.set(name, hash);
  }
  return { passwords, problems };
}

type Line =
  | { readonly name: string; readonly hash: PasswordHash }
  | { readonly column: number; readonly message: string };

function parseLine(text: string): Line {
  const colon = text.indexOf(':');
  if (colon < 0) return { column: 1, message: 'a colon is missing. A line is: name:hash.' };
  const name = text.slice(0, colon).trim();
  if (name === '') return { column: 1, message: 'a user name is missing before the colon.' };
  const column = colon + 2;
  const hash = hashOf(text.slice(colon + 1).trim());
  return typeof hash === 'string' ? { column, message: hash } : { name, hash };
}

const scramForm =
  /^\$scram-sha-256\$(\d{1,9})\$([A-Za-z0-9+/]+={0,2})\$([A-Za-z0-9+/]{43}=)\$([A-Za-z0-9+/]{43}=)$/;
const form = /^\$(?:6|7\$(\d{1,9}))\$([A-Za-z0-9+/]+={0,2})\$([A-Za-z0-9+/]+={0,2})$/;

/** The hash, or what is wrong with it. */
function hashOf(text: string): PasswordHash | string {
  const again = 'Set the password anew: tidegate passwd FILE USER.';
  if (!text.startsWith('$')) return `the password is not hashed. ${again}`;
  const kind = /^\$([^$]*)/.exec(text)![1]!;
  if (kind !== '6' && kind !== '7' && kind !== 'scram-sha-256') {
    return `hashes of kind $${kind.slice(0, 20)}$ cannot be read; $6$, $7$ and $scram-sha-256$ can. ${again}`;
  }
  const isScram = kind === 'scram-sha-256';
  const parts = (isScram ? scramForm : form).exec(text);
  if (parts === null) return `the hash is damaged. ${again}`;
  const iterations = Number(parts[1] ?? 0);
  const hash = Buffer.from(parts[3]!, 'base64');
  if (!isScram && hash.length !== hashBytes)
    return `the hash is not ${hashBytes} bytes long. ${again}`;
  if (kind !== '6' && (iterations < 1 || iterations > iterationsMax)) {
    return `the iterations must be from 1 to ${iterationsMax}. ${again}`;
  }
  const salt = Buffer.from(parts[2]!, 'base64');
  if (!isScram) return { iterations, salt, hash };
  return { iterations, salt, hash, serverKey: Buffer.from(parts[4]!, 'base64') };
}

/** Why nobody can be called that in a password file; undefined when one can. */
export function userNameProblem(name: string): string | undefined {
  if (name === '') return 'The user name is empty.';
  if (/^#|:|\s$|^\s/.test(name) || /\p{Cc}/u.test(name)) {
    return 'A user name has no colon, no control characters, no # first, and no spaces around it.';
  }
  return Buffer.byteLength(name) > nameBytesMax ? 'The user name is too long.' : undefined;
}

/** The line of a user, hashed as mosquitto_passwd does it: PBKDF2-HMAC-SHA512. */
export async function passwordLine(
  name: string,
  password: Uint8Array,
  { salt, iterations }: { readonly salt: Buffer; readonly iterations: number },
): Promise<string> {
  const hash = await derive(password, salt, iterations);
  return `${name}:$7$${iterations}$${salt.toString('base64')}$${hash.toString('base64')}`;
}

/** The line of a user who can log in by SCRAM-SHA-256 as well; nothing but Tidegate reads it. */
export async function scramLine(
  name: string,
  password: Uint8Array,
  { salt, iterations }: { readonly salt: Buffer; readonly iterations: number },
): Promise<string> {
  const { storedKey, serverKey } = scramKeysOf(await deriveScram(password, salt, iterations));
  const parts = [salt, storedKey, serverKey].map((part) => part.toString('base64'));
  return `${name}:$scram-sha-256$${iterations}$${parts.join('$')}`;
}

/** Whether it is the password; takes the same time whichever byte is wrong. */
export async function isPassword(kept: PasswordHash, password: Uint8Array): Promise<boolean> {
  const { salt, iterations } = kept;
  const hash =
    kept.serverKey === undefined
      ? await derive(password, salt, iterations)
      : scramKeysOf(await deriveScram(password, salt, iterations)).storedKey;
  return timingSafeEqual(hash, kept.hash);
}

/** Off the event loop, but for a single round, which takes no time. */
function derive(password: Uint8Array, salt: Buffer, iterations: number): Promise<Buffer> {
  if (iterations === 0) {
    return Promise.resolve(createHash('sha512').update(password).update(salt).digest());
  }
  return stretch(password, salt, iterations, hashBytes, 'sha512');
}

/** Passwords that look the same are the same (instead of SASLprep, RFC 4013: only NFKC). */
function deriveScram(password: Uint8Array, salt: Buffer, iterations: number): Promise<Buffer> {
  const normal = Buffer.from(password).toString('utf8').normalize('NFKC');
  return stretch(Buffer.from(normal), salt, iterations, scramBytes, 'sha256');
}
const scramBytes = 32;

function stretch(
  password: Uint8Array,
  salt: Buffer,
  iterations: number,
  bytes: number,
  digest: 'sha256' | 'sha512',
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    pbkdf2(password, salt, iterations, bytes, digest, (error, hash) =>
      error === null ? resolve(hash) : reject(error),
    );
  });
}
