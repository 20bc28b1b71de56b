/**
 * THE CURSORS ON DISK: the file `cursors`, text, replaced whole.
 *
 *   tidegate-cursors 1 lines <how many follow>                                       in plain
 *   <crc32 of what follows the space, 8 hex digits> {"name":…,"position":…,"state":…}
 *   …
 *
 *   tidegate-cursors 2 lines <how many follow>                                       encrypted
 *   <crc32 of what follows the space, 8 hex digits> <key id, 8 hex digits>.<base64>
 *   …
 *
 * base64 of salt 16 bytes | nonce 12 bytes | the JSON under AES-256-GCM | tag 16 bytes. The salt is
 * drawn by each process, and the key derived with it, so that no key seals more than one life of a
 * gateway. Each line has its own checksum, so that damage costs one cursor and not the others. The
 * number of lines tells a file that was cut off behind one of them. A cursor of the file `broker` has
 * several lines: see `record-lines`.
 */
import { crc32 } from 'node:zlib';
import type { Clock } from '../platform/clock.ts';
import type { Disk } from '../platform/disk.ts';
import { GatewayError, messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { Random } from '../platform/random.ts';
import { createTurns } from '../platform/turns.ts';
import { FormatError } from './byte-reader.ts';
import { type Keyring, keyNameOf } from './keyring.ts';
import { createLineCollection, type LostRecord } from './record-lines.ts';
import { drawNonce, nonceBytes, type Sealing, sealInPlace, tagBytes, unseal } from './seal.ts';
import { isUnreadable } from './weather.ts';

export const cursorsPath = 'cursors';
/** The cursor of the broker, with all that it remembers: too much to be written as often as the others. */
export const brokerPath = 'broker';
/** Which replays are under way, a line each, by the names of their sinks. */
export const replaysPath = 'replays';
export type CursorsPath = typeof cursorsPath | typeof brokerPath | typeof replaysPath;
const heading = 'tidegate-cursors';
const versionPlain = 1;
const versionSealed = 2;
const saltBytes = 16;
const authenticated = Buffer.from(heading);

/** What was found in the file. */
export interface SavedLines {
  /** By the names of the cursors: their lines, for `savedLineOf`. */
  readonly lines: ReadonlyMap<string, string>;
  /** Whether the file is whole and as it would be written today, sealed with the current key for instance. */
  readonly isCurrent: boolean;
  /** Lines that are damaged, by the place of their first byte. */
  readonly damaged: readonly { readonly from: number; readonly to: number }[];
  /** Records that damage has cost; undefined when it may have cost whole cursors. */
  readonly lost?: readonly LostRecord[];
}

/** Makes the bytes of the file from the lines of each cursor, without their checksums; in turns. */
export function createCursorWriter(keys: Keyring, random: Random, clock: Clock) {
  const { current } = keys;
  const seal = current === undefined ? undefined : createSeal({ key: current, random });
  const version = seal === undefined ? versionPlain : versionSealed;
  return async (lines: Iterable<string>): Promise<Buffer> => {
    const turns = createTurns(clock);
    const pieces: Buffer[] = [];
    let text = '';
    let count = 0;
    for (const linesOfOne of lines) {
      for (const json of linesIn(linesOfOne)) {
        const line = seal === undefined ? json : seal(json);
        text += `${sumOf(line)} ${line}\n`;
        count++;
        const { rest } = turns;
        if (rest === undefined) continue;
        pieces.push(Buffer.from(text));
        text = '';
        await rest;
      }
    }
    const head = Buffer.from(`${heading} ${version} lines ${count}\n`);
    return Buffer.concat([head, ...pieces, Buffer.from(text)]);
  };
}

function* linesIn(text: string): Generator<string> {
  for (let from = 0; from <= text.length; ) {
    const found = text.indexOf('\n', from);
    const to = found < 0 ? text.length : found;
    yield text.slice(from, to);
    from = to + 1;
  }
}

function createSeal({ key, random }: Sealing): (json: string) => string {
  const salt = Buffer.alloc(saltBytes + nonceBytes);
  for (let at = 0; at < saltBytes; at += 4) {
    salt.writeUInt32LE(Math.floor(random.next() * 2 ** 32), at);
  }
  const derived = key.derived(purposeOf(salt));
  return (json) => {
    const bodyAt = saltBytes + nonceBytes;
    const end = bodyAt + Buffer.byteLength(json);
    const bytes = Buffer.alloc(end + tagBytes);
    salt.copy(bytes);
    drawNonce(random, bytes, saltBytes);
    bytes.write(json, bodyAt);
    const nonce = bytes.subarray(saltBytes, bodyAt);
    sealInPlace(bytes, bodyAt, end, { key: derived, nonce, authenticated });
    return `${keyNameOf(key.id)}.${bytes.toString('base64')}`;
  };
}

const purposeOf = (salt: Buffer): string => `cursors ${salt.toString('hex', 0, saltBytes)}`;

/**
 * The line of each cursor. Whatever the file holds, there is an answer, but for a newer version
 * (GW_LOG_UNSUPPORTED) and for a key that we do not have (GW_CONFIG_KEY_MISSING).
 */
export async function readCursorFile(
  disk: Disk,
  logger: Logger,
  keys: Keyring,
  path: CursorsPath = cursorsPath,
): Promise<SavedLines> {
  const collection = createLineCollection();
  const damaged: { from: number; to: number }[] = [];
  let bytes: Uint8Array | undefined;
  try {
    bytes = await disk.read(path);
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    logger.error(
      { path, error: messageOf(error) },
      'The cursors cannot be read; every reader begins as if it were new.',
    );
    const to = await disk.size(path).catch(() => 0);
    return { lines: new Map(), isCurrent: false, damaged: [{ from: 0, to: to ?? 0 }] };
  }
  if (bytes === undefined) return { lines: new Map(), isCurrent: true, damaged };
  const text = Buffer.from(bytes).toString('latin1');
  const [first, ...lines] = text.split('\n');
  const [, found, count] = new RegExp(`^${heading} (\\d+)(?: lines (\\d+))?$`).exec(first!) ?? [];
  const currentId = keys.current?.id ?? 0;
  const versionNow = currentId === 0 ? versionPlain : versionSealed;
  let isCurrent = Number(found) === versionNow && count !== undefined;
  let at = first!.length + 1;
  lines.forEach((bytesOfLine, index) => {
    const from = at;
    at += bytesOfLine.length + 1;
    if (bytesOfLine === '') return;
    const line = Buffer.from(bytesOfLine, 'latin1').toString('utf8');
    const opened = openLine(line, keys, path);
    if (opened !== undefined) {
      collection.add(opened.json);
      isCurrent &&= opened.keyId === currentId;
    } else {
      damaged.push({ from, to: from + bytesOfLine.length });
      collection.addDamaged(line);
      logger.warn({ path, line: index + 2 }, consequenceOf[path]);
    }
  });
  const saved = collection.lines();
  const linesThere = lines.filter((line) => line !== '').length;
  // Files without a number were written before there was one, and never without a line.
  const linesSaid = count === undefined ? Math.max(1, linesThere) : Number(count);
  if (found !== undefined && linesSaid !== linesThere) {
    damaged.push({ from: bytes.length, to: bytes.length });
    logger.warn({ path }, 'Cursors are missing; their readers begin as if they were new.');
  }
  const isNewer = Number(found) > versionSealed;
  // Lines of a newer version have another form: where there are some of ours, a digit has changed.
  if (isNewer && saved.size === 0) {
    throw new GatewayError('GW_LOG_UNSUPPORTED', `the file ${path} has version ${found}`);
  }
  if (found === undefined || isNewer) {
    damaged.unshift({ from: 0, to: first!.length });
    logger.warn({ path }, 'The first line of the cursors is damaged.');
  }
  if (damaged.length === 0) return { lines: saved, isCurrent, damaged };
  const lost = collection.lost();
  return { lines: saved, isCurrent: false, damaged, ...(lost === undefined ? {} : { lost }) };
}

const newReader = 'A cursor is damaged; its reader begins as if it were new.';
const consequenceOf: Readonly<Record<CursorsPath, string>> = {
  cursors: newReader,
  replays: 'The note of a replay that was interrupted is damaged; it is not gone on with.',
  broker: 'A record of the broker is damaged; what it said is read again from the log.',
};

const sumOf = (text: string): string => crc32(text).toString(16).padStart(8, '0');

/** Undefined for a line that is damaged. Its form is its own: the first line may be damaged. */
function openLine(
  line: string,
  keys: Keyring,
  path: CursorsPath,
): { json: string; keyId: number } | undefined {
  const rest = line.slice(9);
  if (line.slice(0, 9) !== `${sumOf(rest)} `) return undefined;
  if (rest.startsWith('{')) return { json: rest, keyId: 0 };
  const [, id, base64] = /^([0-9a-f]{8})\.([A-Za-z0-9+/=]+)$/.exec(rest) ?? [];
  if (id === undefined || base64 === undefined) return undefined;
  const keyId = Number.parseInt(id, 16);
  const key = keys.keyOf(keyId, `the file ${path}`);
  const bytes = Buffer.from(base64, 'base64');
  const bodyAt = saltBytes + nonceBytes;
  try {
    const nonce = bytes.subarray(saltBytes, bodyAt);
    const sealed = { key: key.derived(purposeOf(bytes)), nonce, authenticated };
    return { json: unseal(bytes.subarray(bodyAt), sealed).toString('utf8'), keyId };
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}
