/**
 * Where one message on a serial line ends and the next begins.
 *
 *   line     bytes up to a delimiter; a CR before an LF is no part of the message
 *   length   1, 2 or 4 bytes that say how many follow
 *   slip     RFC 1055: END (0xC0) around, ESC (0xDB) before what looks like END or ESC
 *   cobs     Consistent Overhead Byte Stuffing (Cheshire and Baker, 1999): no zero but at the end
 *   fixed    always as many bytes
 *   idle     what arrives until the line is silent for a while
 */
import { type Checksum, checksums } from './checksum.ts';

/** A whole message, or bytes that cannot be one and why. */
export interface Frame {
  readonly payload: Buffer;
  readonly problem?: string;
}

export interface Framer {
  /** The frames that have ended with these bytes. Holds no more than the longest frame allowed. */
  push(chunk: Uint8Array): readonly Frame[];
  /** The line was silent, or is gone: what has begun and not ended, if anything. */
  rest(): Frame | undefined;
  /** A message as it goes out, so that the far side finds its end the same way. */
  encode(payload: Uint8Array): Buffer;
}

export type FramingOptions =
  | { readonly kind: 'line'; readonly delimiter: string }
  | {
      readonly kind: 'length';
      readonly bytes: 1 | 2 | 4;
      readonly order: 'big' | 'little';
      /** Whether the number counts its own bytes, too. */
      readonly includesItself: boolean;
      readonly checksum: Checksum;
    }
  | { readonly kind: 'slip'; readonly checksum: Checksum }
  | { readonly kind: 'cobs'; readonly checksum: Checksum }
  | { readonly kind: 'fixed'; readonly bytes: number }
  | { readonly kind: 'idle' };

export function createFramer(options: FramingOptions, frameBytesMax: number): Framer {
  switch (options.kind) {
    case 'line':
      return createLineFramer(Buffer.from(options.delimiter), frameBytesMax);
    case 'slip':
      return delimited(slip, checksums[options.checksum], frameBytesMax);
    case 'cobs':
      return delimited(cobs, checksums[options.checksum], frameBytesMax);
    case 'length':
      return createLengthFramer(options, frameBytesMax);
    case 'fixed':
      return createFixedFramer(options.bytes);
    case 'idle':
      return createIdleFramer(frameBytesMax);
  }
}

/** Bytes of a frame that has begun; beyond the limit they are counted, and not kept. */
function createPending(bytesMax: number) {
  let chunks: Uint8Array[] = [];
  let kept = 0;
  let lost = 0;
  return {
    get bytes() {
      return kept + lost;
    },
    add(chunk: Uint8Array) {
      const room = Math.max(0, bytesMax - kept);
      if (room > 0 && chunk.length > 0) chunks.push(chunk.subarray(0, room));
      kept += Math.min(room, chunk.length);
      lost += Math.max(0, chunk.length - room);
    },
    take(): Frame {
      const payload = Buffer.concat(chunks);
      const problem =
        lost === 0
          ? undefined
          : `The frame has ${kept + lost} bytes; ${bytesMax} are allowed. The beginning is kept.`;
      chunks = [];
      kept = 0;
      lost = 0;
      return problem === undefined ? { payload } : { payload, problem };
    },
  };
}

const unfinished = 'The line fell silent, or was gone, in the middle of a frame.';

function restOf(pending: ReturnType<typeof createPending>): Frame | undefined {
  return pending.bytes === 0 ? undefined : { ...pending.take(), problem: unfinished };
}

const carriageReturn = 0x0d;

function createLineFramer(delimiter: Buffer, bytesMax: number): Framer {
  const pending = createPending(bytesMax + delimiter.length);
  const last = delimiter.at(-1)!;
  const restarts = restartsOf(delimiter);
  /** How much of a delimiter of several bytes has come. */
  let matched = 0;
  const ended = (): Frame => {
    const { payload, problem } = pending.take();
    let end = payload.length - (problem === undefined ? delimiter.length : 0);
    if (delimiter.length === 1 && last === 0x0a && payload[end - 1] === carriageReturn) end -= 1;
    const line = payload.subarray(0, Math.max(0, end));
    return problem === undefined ? { payload: line } : { payload: line, problem };
  };
  return {
    push(chunk) {
      const frames: Frame[] = [];
      let from = 0;
      for (let at = 0; at < chunk.length; at++) {
        const byte = chunk[at]!;
        while (matched > 0 && byte !== delimiter[matched]) matched = restarts[matched - 1]!;
        if (byte === delimiter[matched]) matched += 1;
        if (matched < delimiter.length) continue;
        pending.add(chunk.subarray(from, at + 1));
        from = at + 1;
        matched = 0;
        const frame = ended();
        if (frame.payload.length > 0 || frame.problem !== undefined) frames.push(frame);
      }
      pending.add(chunk.subarray(from));
      return frames;
    },
    rest() {
      matched = 0;
      return restOf(pending);
    },
    encode: (payload) => Buffer.concat([payload, delimiter]),
  };
}

/** Of each beginning of a delimiter, how much of its end may begin another (Knuth, Morris and Pratt). */
function restartsOf(delimiter: Buffer): readonly number[] {
  return [...delimiter].map((_byte, last) => {
    for (let length = last; length > 0; length--) {
      const end = delimiter.subarray(last + 1 - length, last + 1);
      if (end.equals(delimiter.subarray(0, length))) return length;
    }
    return 0;
  });
}

interface Stuffing {
  readonly delimiter: number;
  decode(stuffed: Uint8Array): Buffer;
  encode(payload: Uint8Array): Buffer;
}
type ChecksumOf = (typeof checksums)[Checksum];

/** Frames that end with a byte they do not hold otherwise; a checksum may stand before it. */
function delimited(stuffing: Stuffing, checksum: ChecksumOf, bytesMax: number): Framer {
  // Stuffed bytes may be twice as many.
  const pending = createPending(2 * (bytesMax + checksum.bytes) + 2);
  const ended = (): Frame => {
    const { payload: stuffed, problem } = pending.take();
    if (problem !== undefined) return { payload: stuffed.subarray(0, bytesMax), problem };
    let bytes: Buffer;
    try {
      bytes = stuffing.decode(stuffed);
    } catch (error) {
      return { payload: stuffed, problem: (error as Error).message };
    }
    return checked(bytes, checksum, bytesMax);
  };
  return {
    push(chunk) {
      const frames: Frame[] = [];
      let from = 0;
      for (;;) {
        const end = chunk.indexOf(stuffing.delimiter, from);
        if (end < 0) break;
        pending.add(chunk.subarray(from, end));
        from = end + 1;
        // Between two delimiters in a row there is no frame.
        if (pending.bytes > 0) frames.push(ended());
      }
      pending.add(chunk.subarray(from));
      return frames;
    },
    rest: () => restOf(pending),
    encode: (payload) => stuffing.encode(Buffer.concat([payload, checksum.of(payload)])),
  };
}

function checked(bytes: Buffer, checksum: ChecksumOf, bytesMax: number): Frame {
  const end = bytes.length - checksum.bytes;
  if (end < 0) return { payload: bytes, problem: 'The frame is shorter than its checksum.' };
  const payload = bytes.subarray(0, end);
  const said = bytes.subarray(end);
  const is = checksum.of(payload);
  if (!is.equals(said)) {
    const problem = `The checksum is ${is.toString('hex')}; the frame says ${said.toString('hex')}.`;
    return { payload: bytes, problem };
  }
  if (payload.length <= bytesMax) return { payload };
  const problem = `The frame has ${payload.length} bytes; ${bytesMax} are allowed. The beginning is kept.`;
  return { payload: payload.subarray(0, bytesMax), problem };
}

const slipEnd = 0xc0;
const slipEscape = 0xdb;
const slipEscapedEnd = 0xdc;
const slipEscapedEscape = 0xdd;

const slip: Stuffing = {
  delimiter: slipEnd,
  decode(stuffed) {
    const out = Buffer.allocUnsafe(stuffed.length);
    let length = 0;
    for (let at = 0; at < stuffed.length; at++) {
      let byte = stuffed[at]!;
      if (byte === slipEscape) {
        const escaped = stuffed[++at];
        if (escaped !== slipEscapedEnd && escaped !== slipEscapedEscape) {
          throw new Error('SLIP: an escape (0xDB) must be followed by 0xDC or 0xDD.');
        }
        byte = escaped === slipEscapedEnd ? slipEnd : slipEscape;
      }
      out[length++] = byte;
    }
    return out.subarray(0, length);
  },
  encode(payload) {
    const out = [slipEnd];
    for (const byte of payload) {
      if (byte === slipEnd) out.push(slipEscape, slipEscapedEnd);
      else if (byte === slipEscape) out.push(slipEscape, slipEscapedEscape);
      else out.push(byte);
    }
    return Buffer.from([...out, slipEnd]);
  },
};

const cobs: Stuffing = {
  delimiter: 0,
  decode(stuffed) {
    const out = Buffer.allocUnsafe(stuffed.length);
    let length = 0;
    for (let at = 0; at < stuffed.length; ) {
      const block = stuffed[at]!;
      const end = at + block;
      if (end > stuffed.length) throw new Error('COBS: a block is longer than its frame.');
      for (at += 1; at < end; at++) out[length++] = stuffed[at]!;
      if (block < 0xff && at < stuffed.length) out[length++] = 0;
    }
    return out.subarray(0, length);
  },
  encode(payload) {
    const out: number[] = [0];
    let code = 0;
    for (const byte of payload) {
      if (byte !== 0) out.push(byte);
      const block = out.length - code;
      if (byte !== 0 && block < 0xff) continue;
      out[code] = block;
      code = out.length;
      out.push(0);
    }
    out[code] = out.length - code;
    return Buffer.from([...out, 0]);
  },
};

type LengthOptions = Extract<FramingOptions, { kind: 'length' }>;

function createLengthFramer(options: LengthOptions, bytesMax: number): Framer {
  const header = options.bytes;
  const checksum = checksums[options.checksum];
  const pending = createPending(header + bytesMax + checksum.bytes);
  let head: number[] = [];
  /** Bytes that are still to come of the frame that has begun; -1 while its length is not known. */
  let missing = -1;
  const frameEnded = (): Frame => {
    const { payload, problem } = pending.take();
    missing = -1;
    return problem === undefined
      ? checked(payload, checksum, bytesMax)
      : { payload: payload.subarray(0, bytesMax), problem };
  };
  return {
    push(chunk) {
      const frames: Frame[] = [];
      let at = 0;
      while (at < chunk.length) {
        if (missing < 0) {
          head.push(chunk[at++]!);
          if (head.length < header) continue;
          missing = lengthOf(head, options);
          head = [];
          if (missing < 0) {
            const problem = 'The length of the frame is less than what counts it.';
            frames.push({ payload: Buffer.alloc(0), problem });
          }
        } else {
          const end = Math.min(chunk.length, at + missing);
          pending.add(chunk.subarray(at, end));
          missing -= end - at;
          at = end;
        }
        if (missing === 0) frames.push(frameEnded());
      }
      return frames;
    },
    rest() {
      if (missing < 0 && head.length === 0) return undefined;
      pending.add(Uint8Array.from(head));
      head = [];
      missing = -1;
      return { ...pending.take(), problem: unfinished };
    },
    encode(payload) {
      const body = Buffer.concat([payload, checksum.of(payload)]);
      const length = body.length + (options.includesItself ? header : 0);
      const out = Buffer.alloc(header);
      if (options.order === 'big') out.writeUIntBE(length, 0, header);
      else out.writeUIntLE(length, 0, header);
      return Buffer.concat([out, body]);
    },
  };
}

function lengthOf(head: readonly number[], options: LengthOptions): number {
  const bytes = Buffer.from(head);
  const { bytes: header, order } = options;
  const length = order === 'big' ? bytes.readUIntBE(0, header) : bytes.readUIntLE(0, header);
  return options.includesItself ? length - header : length;
}

function createFixedFramer(bytes: number): Framer {
  const pending = createPending(bytes);
  return {
    push(chunk) {
      const frames: Frame[] = [];
      for (let at = 0; at < chunk.length; ) {
        const end = Math.min(chunk.length, at + bytes - pending.bytes);
        pending.add(chunk.subarray(at, end));
        at = end;
        if (pending.bytes === bytes) frames.push(pending.take());
      }
      return frames;
    },
    rest: () => restOf(pending),
    encode: (payload) => Buffer.from(payload),
  };
}

function createIdleFramer(bytesMax: number): Framer {
  const pending = createPending(bytesMax);
  return {
    push(chunk) {
      pending.add(chunk);
      return [];
    },
    rest: () => (pending.bytes === 0 ? undefined : pending.take()),
    encode: (payload) => Buffer.from(payload),
  };
}
