/**
 * An encoded PUBLISH that many connections send: only the packet identifier and DUP are set for
 * each as it is written. A large payload is not a part of `head`, and is never copied.
 */
export class Frame {
  readonly head: Buffer;
  /** Where the packet identifier stands; 0 when there is none. */
  readonly idAt: number;
  readonly body: Uint8Array | undefined;
  /** Of the whole packet, in bytes. */
  readonly size: number;
  /** The message expiry interval in it, in seconds; -1 for none. */
  readonly expiry: number;

  constructor(head: Buffer, idAt: number, body: Uint8Array | undefined, expiry: number) {
    this.head = head;
    this.idAt = idAt;
    this.body = body;
    this.size = head.length + (body === undefined ? 0 : body.length);
    this.expiry = expiry;
  }

  /** Writes the head at `at` of `bytes`. `stamp` is the identifier, with bit 16 for DUP. */
  stampInto(bytes: Buffer, at: number, stamp: number): void {
    bytes.set(this.head, at);
    if (this.idAt === 0) return;
    if ((stamp & dupStamp) !== 0) bytes[at]! |= 8;
    bytes[at + this.idAt] = (stamp >> 8) & 0xff;
    bytes[at + this.idAt + 1] = stamp & 0xff;
  }
}

export const dupStamp = 0x1_0000;
