import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { noRights, type Rights } from './access.ts';
import type { Bounds } from './bounds.ts';
import { Frame } from './frame.ts';
import { Traffic } from './traffic.ts';

/** What all connections have unsent. */
export interface Unsent {
  bytes: number;
}

/** Up to this many bytes, one copy costs less than handing the pieces to the system one by one. */
const copyBytes = 64 * 2 ** 10;
const nothing = (): void => {};
const settled = Promise.resolve();

/**
 * What aedes takes for a socket. It sees whole packets that the guard let pass, and everything it
 * writes in one turn of the event loop leaves in one piece, in order with what others `write`.
 *
 * Of a stream it has what aedes uses: `read`, `write`, `destroy`, and the events `readable`,
 * `drain`, `end` and `close`. Not a Duplex, which would buffer and copy everything once more.
 */
export class Connection extends EventEmitter {
  readonly socket: Socket;
  readonly address: string;
  /** What its client may do; nothing before the CONNECT is accepted. */
  rights: Rights = noRights;
  readonly traffic = new Traffic();
  /** Whom enhanced authentication has found the client to be, and what its CONNACK says of it. */
  authentication:
    | { readonly method: string; readonly data: Uint8Array; readonly username: string }
    | undefined;
  /** Set by aedes when it takes the connection. */
  client: object | undefined;
  destroyed = false;
  /** When `destroy` was called; milliseconds of the monotonic clock. */
  destroyedAt = 0;
  /** Called when everything unsent has left after `write` returned false. */
  onDrain: () => void = nothing;
  /** The largest packet that its client takes, and whether it is to be told why it may not [MQTT5-3.1.2-29]. */
  maximumPacketSize = Number.POSITIVE_INFINITY;
  wantsReasons = true;
  /** Called when an answer is larger than that. */
  onTooLarge: () => void = nothing;
  /** Called when it is no longer slow, and now and then besides. */
  onRoom: () => void = nothing;
  /** What is written meanwhile goes nowhere: the CONNACK that aedes writes is written anew. */
  isMuted = false;
  #offered: Uint8Array | null = null;
  #pending: Piece[] = [];
  /** Of each frame in `#pending`, by its place. */
  #stamps: number[] = [];
  #pendingBytes = 0;
  #needsDrain = false;
  /** What of `#unsent` is this one's. */
  #counted = 0;
  readonly #unsent: Unsent;
  readonly #bounds: Bounds;
  readonly #now: () => number;

  constructor(socket: Socket, bounds: Bounds, now: () => number, unsent: Unsent = { bytes: 0 }) {
    super();
    this.#unsent = unsent;
    this.socket = socket;
    this.address = socket.remoteAddress ?? '';
    this.#bounds = bounds;
    this.#now = now;
    socket.on('drain', () => this.#drained());
    socket.on('close', () => {
      this.destroyed = true;
      this.#pending = [];
      this.#pendingBytes = 0;
      this.#count(0);
      this.emit('end');
      this.emit('close');
    });
  }

  /** Bytes written and not yet taken by the system. */
  get writableLength(): number {
    return this.socket.writableLength + this.#pendingBytes;
  }

  /** More is unsent than a subscriber may have: of its own, or of all, and not little of it its own. */
  get isSlow(): boolean {
    const { slowBytes, unsentBytesTotal } = this.#bounds;
    const { writableLength } = this;
    if (writableLength > slowBytes) return true;
    return (
      writableLength > Math.min(shareBytes, slowBytes) && this.#unsent.bytes > unsentBytesTotal
    );
  }

  /** Lets aedes read the first packet of the connection. The rest goes straight to its parser. */
  offer(bytes: Uint8Array): void {
    this.#offered = bytes;
    this.emit('readable');
  }

  read(): Uint8Array | null {
    const offered = this.#offered;
    this.#offered = null;
    return offered;
  }

  /** False once too much is unsent: `drain` follows when that has left. */
  write(bytes: Uint8Array | string): boolean {
    if (this.destroyed || this.isMuted) return true;
    return this.#add(bytes, bytes.length);
  }

  /** Writes a whole packet, which must not be larger than what the client takes [MQTT-3.1.2-24]. */
  answer(packet: Uint8Array): void {
    if (packet.length > this.maximumPacketSize) {
      this.onTooLarge();
      return;
    }
    this.traffic.packetsOut += 1;
    this.write(packet);
  }

  /**
   * As `answer`, but with a reason that people can read where the client wants it and takes so much:
   * CONNACK and DISCONNECT are not sent at all when they are too large even without.
   */
  explain(encode: (text: string) => Uint8Array, text: string): void {
    const packet = this.fitting(encode, text);
    if (packet.length <= this.maximumPacketSize) this.answer(packet);
  }

  /** With the text, where that may be said. */
  fitting(encode: (text: string) => Uint8Array, text: string): Uint8Array {
    const whole = encode(this.wantsReasons ? text : '');
    return whole.length <= this.maximumPacketSize ? whole : encode('');
  }

  /** Writes a PUBLISH. `stamp` is its packet identifier, with `dupStamp` for DUP; else 0. */
  publish(frame: Frame, stamp: number): void {
    if (this.destroyed) return;
    this.#stamps[this.#pending.length] = stamp;
    this.#add(frame, frame.size);
  }

  #add(piece: Piece, bytes: number): boolean {
    if (this.#pending.length === 0) void settled.then(() => this.#flush());
    this.#pending.push(piece);
    this.#pendingBytes += bytes;
    this.#count(this.#counted + bytes);
    if (this.writableLength < this.#bounds.unsentBytes) return true;
    this.#needsDrain = true;
    return false;
  }

  /** Nothing is written any more; what was, still leaves, if the far side takes it in time. */
  destroy(): void {
    if (this.destroyed) return;
    this.#flush();
    this.destroyed = true;
    this.destroyedAt = this.#now();
    this.socket.destroySoon();
    // Nothing that still arrives is of interest, but only what is read lets the socket close.
    this.socket.resume();
    void settled.then(() => this.emit('end'));
  }

  #flush(): void {
    const pending = this.#pending;
    if (pending.length === 0) return;
    const bytes = this.#pendingBytes;
    const stamps = this.#stamps;
    this.#pending = [];
    if (stamps.length > 0) this.#stamps = [];
    this.#pendingBytes = 0;
    const few = Math.min(shareBytes, this.#bounds.slowBytes);
    const isMuch = this.socket.writableLength + bytes > few;
    const hasLeft = this.#send(pending, stamps, bytes, isMuch ? this.#written : undefined);
    this.#count(this.socket.writableLength);
    if (hasLeft && this.#needsDrain) void settled.then(() => this.#drained());
  }

  #send(
    pieces: readonly Piece[],
    stamps: readonly number[],
    bytes: number,
    done: (() => void) | undefined,
  ): boolean {
    if (bytes <= copyBytes) return this.socket.write(joined(pieces, stamps, 0, bytes), done);
    this.socket.cork();
    let from = 0;
    let run = 0;
    for (let index = 0; index < pieces.length; index++) {
      const piece = pieces[index]!;
      const size = sizeOf(piece);
      const isLarge = size >= largeBytes;
      if (run > 0 && (isLarge || run + size > copyBytes)) {
        this.socket.write(joined(pieces, stamps, from, run, index));
        from = index;
        run = 0;
      }
      if (isLarge) {
        this.#sendLarge(piece, stamps[index]!);
        from = index + 1;
      } else {
        run += size;
      }
    }
    const room = this.socket.write(joined(pieces, stamps, from, run), done);
    this.socket.uncork();
    return room;
  }

  /** The payload as it is. */
  #sendLarge(piece: Piece, stamp: number): void {
    if (!(piece instanceof Frame)) {
      this.socket.write(piece);
      return;
    }
    const head = Buffer.allocUnsafe(piece.head.length);
    piece.stampInto(head, 0, stamp);
    this.socket.write(head);
    if (piece.body !== undefined) this.socket.write(piece.body);
  }

  /** So much of it is unsent. */
  #count(bytes: number): void {
    this.#unsent.bytes += bytes - this.#counted;
    this.#counted = bytes;
  }

  #drained(): void {
    this.#count(this.socket.destroyed ? 0 : this.socket.writableLength);
    if (this.destroyed) return;
    this.onDrain();
    if (!this.#needsDrain || this.socket.writableNeedDrain) return;
    this.#needsDrain = false;
    this.emit('drain');
  }

  /** What was much has left. */
  readonly #written = (): void => {
    this.#count(this.socket.destroyed ? 0 : this.socket.writableLength);
    if (!this.destroyed && !this.isSlow) this.onRoom();
  };
}

type Piece = Uint8Array | string | Frame;

/** This much may be unsent of each, however much is of all. */
const shareBytes = 32 * 2 ** 10;
/** From this size on a piece goes to the system as it is. */
const largeBytes = 16 * 2 ** 10;

function sizeOf(piece: Piece): number {
  return piece instanceof Frame ? piece.size : piece.length;
}

function joined(
  pieces: readonly Piece[],
  stamps: readonly number[],
  from: number,
  lengths: number,
  to = pieces.length,
): Buffer {
  let bytes: Buffer = Buffer.allocUnsafe(lengths);
  let at = 0;
  for (let index = from; index < to; index++) {
    const piece = pieces[index]!;
    if (piece instanceof Frame) {
      piece.stampInto(bytes, at, stamps[index]!);
      if (piece.body !== undefined) bytes.set(piece.body, at + piece.head.length);
      at += piece.size;
    } else if (typeof piece === 'string') {
      const size = Buffer.byteLength(piece);
      if (size !== piece.length) bytes = grown(bytes, at, bytes.length + size - piece.length);
      at += bytes.write(piece, at);
    } else if (piece.length <= 8) {
      for (let offset = 0; offset < piece.length; offset++) bytes[at++] = piece[offset]!;
    } else {
      bytes.set(piece, at);
      at += piece.length;
    }
  }
  return bytes;
}

/** The length of a text in characters is less than in bytes when it is not ASCII. */
function grown(bytes: Buffer, used: number, size: number): Buffer {
  const larger = Buffer.allocUnsafe(size);
  bytes.copy(larger, 0, 0, used);
  return larger;
}
