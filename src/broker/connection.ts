import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import type { Bounds } from './bounds.ts';

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
  /** Set by aedes when it takes the connection. */
  client: object | undefined;
  destroyed = false;
  /** When `destroy` was called; milliseconds of the monotonic clock. */
  destroyedAt = 0;
  /** Called when everything unsent has left after `write` returned false. */
  onDrain: () => void = nothing;
  /** The CONNACK that is about to leave gets its flag for an existing session [MQTT-3.2.2-2]. */
  sessionPresent = false;
  #offered: Uint8Array | null = null;
  #pending: (Uint8Array | string)[] = [];
  #pendingBytes = 0;
  #needsDrain = false;
  readonly #bounds: Bounds;
  readonly #now: () => number;

  constructor(socket: Socket, bounds: Bounds, now: () => number) {
    super();
    this.socket = socket;
    this.address = socket.remoteAddress ?? '';
    this.#bounds = bounds;
    this.#now = now;
    socket.on('drain', () => this.#drained());
    socket.on('close', () => {
      this.destroyed = true;
      this.#pending = [];
      this.#pendingBytes = 0;
      this.emit('end');
      this.emit('close');
    });
  }

  /** Bytes written and not yet taken by the system. */
  get writableLength(): number {
    return this.socket.writableLength + this.#pendingBytes;
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
    if (this.destroyed) return true;
    if (this.#pending.length === 0) void settled.then(() => this.#flush());
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
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
    this.#pending = [];
    this.#pendingBytes = 0;
    if (this.sessionPresent) this.#markSession(pending);
    if (!this.#send(pending, bytes) || !this.#needsDrain) return;
    void settled.then(() => this.#drained());
  }

  #send(pending: readonly (Uint8Array | string)[], bytes: number): boolean {
    if (pending.length === 1) return this.socket.write(pending[0]!);
    if (bytes <= copyBytes) return this.socket.write(joined(pending, bytes));
    this.socket.cork();
    let room = true;
    for (const piece of pending) room = this.socket.write(piece);
    this.socket.uncork();
    return room;
  }

  #drained(): void {
    if (this.destroyed) return;
    this.onDrain();
    if (!this.#needsDrain || this.socket.writableNeedDrain) return;
    this.#needsDrain = false;
    this.emit('drain');
  }

  /** `pending` is: 0x20, length, flags, code, … each a buffer of its own. */
  #markSession(pending: (Uint8Array | string)[]): void {
    this.sessionPresent = false;
    const [type, , flags, code] = pending as Uint8Array[];
    if (type?.[0] === 0x20 && flags?.length === 1 && code?.[0] === 0) pending[2] = sessionFlag;
  }
}
const sessionFlag = Uint8Array.of(1);

function joined(pieces: readonly (Uint8Array | string)[], lengths: number): Buffer {
  let bytes: Buffer = Buffer.allocUnsafe(lengths);
  let at = 0;
  for (const piece of pieces) {
    if (typeof piece === 'string') {
      const size = Buffer.byteLength(piece);
      if (size !== piece.length) bytes = grown(bytes, at, bytes.length + size - piece.length);
      at += bytes.write(piece, at);
    } else if (piece.length <= 8) {
      for (let index = 0; index < piece.length; index++) bytes[at++] = piece[index]!;
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
