/** Packets a byte at a time, so that any of them can be wrong. */
type Piece = number | string | Uint8Array | readonly number[];

/** Numbers are bytes; a text has its length in front, as MQTT has it. */
export function bytesOf(...pieces: Piece[]): Buffer {
  return Buffer.concat(
    pieces.map((piece) => {
      if (typeof piece === 'number') return Buffer.of(piece);
      return typeof piece === 'string' ? field(Buffer.from(piece)) : Buffer.from(piece);
    }),
  );
}

/** Bytes with their length in front. */
export function field(bytes: Uint8Array | readonly number[]): Buffer {
  return Buffer.concat([Buffer.of(bytes.length >> 8, bytes.length & 0xff), Buffer.from(bytes)]);
}

export function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 0x7f) | 0x80, ...varint(Math.floor(value / 128))];
}

/** Properties with their length in front. */
export function properties(...pieces: Piece[]): Buffer {
  const body = bytesOf(...pieces);
  return Buffer.concat([Buffer.from(varint(body.length)), body]);
}

export function packet(first: number, ...pieces: Piece[]): Buffer {
  const body = bytesOf(...pieces);
  return Buffer.concat([Buffer.of(first, ...varint(body.length)), body]);
}

export interface ConnectBytes {
  readonly name?: string;
  readonly level?: number;
  readonly flags?: number;
  readonly keepAlive?: number;
  /** Of MQTT 5 only. */
  readonly properties?: Buffer;
  readonly id?: Piece;
  /** What comes behind the client identifier. */
  readonly rest?: readonly Piece[];
}

export function connectBytes(given: ConnectBytes = {}): Buffer {
  const { level = 4, flags = 2, keepAlive = 0, id = 'id', rest = [] } = given;
  const name = given.name ?? ((level & 0x7f) === 3 ? 'MQIsdp' : 'MQTT');
  const head = [level, flags, keepAlive >> 8, keepAlive & 0xff];
  const own = level === 5 ? [given.properties ?? properties()] : [];
  return packet(0x10, name, head, ...own, id, ...rest);
}

/** U+D800, which UTF-8 may not have. */
export const surrogate = [0xed, 0xa0, 0x80] as const;
/** `/` in two bytes. */
export const overlong = [0xc0, 0xaf] as const;
