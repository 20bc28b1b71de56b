/**
 * THE LOG ON DISK, version 1. Little-endian throughout. `docs/formats.md` tells it in words.
 *
 *   log/<first position, 20 digits>.seg
 *
 *   file    magic 8 bytes | version u16 | flags u16 | first position u48 | 0 u16
 *           | log id u32 | key id u32, 0 without | crc32 u32 of the 28 bytes before
 *           then groups to the end
 *   group   length u32 | crc32 u32          the length is of what follows, which the crc32 covers
 *           | first position u48 | count u16 | log id u32
 *           | flags u16 | clock quality u8 | 0 u8
 *           | recorded time f64 | monotonic time f64         of the first event, in whole milliseconds
 *           | flag 4, thinned: last position u48
 *           | flag 1, encrypted: key id u32 | nonce 12 bytes             from here on AES-256-GCM
 *           | boot: 0 u8 and the 16 bytes of a UUID, or its length u8 and UTF-8
 *           | `count` events
 *           | flag 1: tag 16 bytes      also of what stands between the crc32 and the nonce
 *
 * A group is what one write hands over at the least: an append is in one group, whole. It decodes on
 * its own, so a damaged group never costs its neighbours, and carries the log's random id, so that
 * what an older file left on the disk is never taken for ours. Inside, what repeats is written once:
 *
 *   varint  7 bits a byte, lowest first; zigzag where it has a sign
 *   text    varint of 2 × bytes, + 1 when UTF-16 (not well-formed), and the bytes
 *   name    varint: 0 and a text, which becomes the next of the group's names from 1 on, or its number
 *   series  varint: 0 and shape and name of the subject, which becomes the next series, or its number
 *   shape   varint: 0 and the following, which becomes the next shape, or its number
 *             type u8, index in `eventTypes` | name of the source | and for a reading
 *             name of the measurement | varint, tags × 2 names | varint, fields × name
 *   event   flag 4: varint, positions left out before it
 *           | u8: bits 0-1 kind of time, 2 advance, 3 id, 4 extensions, 5 marked JSON; the rest 0
 *           | advance: varint, milliseconds by which both clocks have moved since the event before;
 *             flag 4: zigzag varint for the recorded time, and one for the monotonic time
 *           | series
 *           | time: 0 as recorded; 1 zigzag varint, milliseconds after that; 2 f64
 *           | id: text | extensions: varint × (name, text)
 *           | for a reading a value per field of its shape, for a message the following, for others
 *             a text: `data` as JSON
 *   message u8: bits 0-1 QoS, 2 retain, 3 properties, 4 from, 5 incoming id, 6 topic; rest 0
 *           | topic: text, where it is not the subject | from: name | incoming id: varint
 *           | properties: text, JSON | payload: varint, bytes
 *   value   u8: 0 false, 1 true, 2 zigzag varint, 3 f64, 4 text, 5 bigint (varint of 2 × bytes, + 1
 *           when negative, and the bytes), 16 + k for a zigzag varint divided by 10^k, 128 + n for n
 */

export const magic = Buffer.from('tidelog\n', 'latin1');
export const formatVersion = 1;
export const segmentHeaderBytes = 32;
/**
 * A file is kept so much longer than what is in it. A sync of bytes within the file costs the disk
 * half of one that must also record a new length.
 */
export const aheadBytes = 2 ** 18;
/** Before the boot, which is the first thing of variable length. */
export const groupHeaderBytes = 40;

/** Where the log id stands in a group; searched for when the place of a group is unknown. */
export const groupLogIdAt = 16;
/** The least that can follow a group's crc32: the rest of its header, a boot, no events. */
export const groupLengthMin = groupHeaderBytes - 8 + 1;
/** No append may need more in its group. */
export const groupBytesMax = 2 ** 20;
/** A group that has this much is closed; it holds at most this and one append. */
export const groupBytesWanted = 2 ** 17;
export const groupCountMax = 2 ** 16 - 1;

/** Bits of the flags of file and group. Any other makes a log unreadable to us; 2 is kept for later. */
export const flagEncrypted = 1;
/** Events have been left out, so that the positions of the others have holes. */
export const flagThinned = 4;
export const groupFlagsKnown = flagEncrypted | flagThinned;
/** Of a file only: everything but what lasts has been left out. */
export const flagStripped = 8;
/** Of a file only: thinned more than once. */
export const flagRethinned = 16;
export const segmentFlagsKnown = groupFlagsKnown | flagStripped | flagRethinned;
/** What a group may grow by when it is rewritten. */
export const rewriteBytes = 64;

export const eventTimeMask = 3;
export const timeAsRecorded = 0;
export const timeDelta = 1;
export const timeExact = 2;
export const eventAdvance = 4;
export const eventId = 8;
export const eventExtensions = 16;
export const eventMarkedJson = 32;
export const eventFlagsMax = 63;

/** Bits of the flags of a message, above those of its QoS. */
export const messageQosMask = 3;
export const messageRetain = 4;
export const messageProperties = 8;
export const messageFrom = 16;
export const messageIncoming = 32;
export const messageTo = 128;
export const messageTopic = 64;
export const messageFlagsMax = 255;

export const valueFalse = 0;
export const valueTrue = 1;
export const valueInteger = 2;
export const valueDouble = 3;
export const valueText = 4;
export const valueBigint = 5;
export const valueDecimal = 16;
export const valueSmall = 128;
/** Powers of ten a decimal may be divided by. */
export const decimalPlacesMax = 9;
export const powersOfTen = Float64Array.from({ length: decimalPlacesMax + 1 }, (_, k) => 10 ** k);

/** By their numbers on disk. */
export const clockQualities = ['unknown', 'synchronised', 'unsynchronised'] as const;

const uuidForm = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** The bytes that stand for a boot in every group. */
export function bootBytesOf(boot: string): Uint8Array {
  if (uuidForm.test(boot)) {
    return Buffer.concat([Buffer.of(0), Buffer.from(boot.replaceAll('-', ''), 'hex')]);
  }
  const text = Buffer.from(boot).subarray(0, 255);
  return text.length === 0 ? bootBytesOf('unknown') : Buffer.concat([Buffer.of(text.length), text]);
}

/** The boot that stands at that place, and where it ends. */
export function bootAt(bytes: Buffer, at: number): { readonly boot: string; readonly end: number } {
  const length = bytes[at]!;
  if (length > 0) {
    const end = at + 1 + length;
    return { boot: bytes.toString('utf8', at + 1, end), end };
  }
  const hex = bytes.toString('hex', at + 1, at + 17);
  const boot = hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  return { boot, end: at + 17 };
}
