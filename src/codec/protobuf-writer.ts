const scratch = new DataView(new ArrayBuffer(8));

/** Writes the fields of one message, in the order they are given; see `protobuf-wire.ts`. */
export class WireWriter {
  private readonly bytes: number[] = [];

  varint(id: number, value: number | bigint): this {
    this.put(BigInt(id) << 3n);
    this.put(BigInt.asUintN(64, BigInt(value)));
    return this;
  }

  float(id: number, value: number): this {
    scratch.setFloat32(0, value, true);
    return this.fixed(id, 5, 4);
  }

  double(id: number, value: number): this {
    scratch.setFloat64(0, value, true);
    return this.fixed(id, 1, 8);
  }

  text(id: number, text: string): this {
    return this.raw(id, Buffer.from(text));
  }

  /** Bytes, or a message that is already written. */
  raw(id: number, bytes: Uint8Array): this {
    this.put((BigInt(id) << 3n) | 2n);
    this.put(BigInt(bytes.byteLength));
    for (const byte of bytes) this.bytes.push(byte);
    return this;
  }

  done(): Uint8Array {
    return Uint8Array.from(this.bytes);
  }

  private fixed(id: number, wireType: number, length: number): this {
    this.put(BigInt((id << 3) | wireType));
    for (let at = 0; at < length; at++) this.bytes.push(scratch.getUint8(at));
    return this;
  }

  private put(value: bigint): void {
    let rest = value;
    for (; rest > 0x7fn; rest >>= 7n) this.bytes.push(Number(rest & 0x7fn) | 0x80);
    this.bytes.push(Number(rest));
  }
}
