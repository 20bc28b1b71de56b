/** Packets put together by hand, so that they can be wrong. */

type Part = Uint8Array | readonly number[];

export const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff]);
export const u32 = (value: number): Buffer =>
  Buffer.concat([u16(value >>> 16), u16(value & 0xffff)]);

/** A string or binary data behind its length. */
export function field(value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value as string);
  return Buffer.concat([u16(bytes.length), bytes]);
}

export function variableInteger(value: number): Buffer {
  const bytes: number[] = [];
  do {
    const rest = Math.floor(value / 128);
    bytes.push((value % 128) | (rest > 0 ? 0x80 : 0));
    value = rest;
  } while (value > 0);
  return Buffer.from(bytes);
}

const joined = (parts: readonly Part[]): Buffer =>
  Buffer.concat(parts.map((part) => Buffer.from(part)));

/** A packet with this first byte; the remaining length is right. */
export function packet(first: number, ...parts: readonly Part[]): Buffer {
  const body = joined(parts);
  return Buffer.concat([Buffer.of(first), variableInteger(body.length), body]);
}

/** Properties behind their length. */
export function properties(...parts: readonly Part[]): Buffer {
  const body = joined(parts);
  return Buffer.concat([variableInteger(body.length), body]);
}

export const userProperty = (name: string | Uint8Array, value: string | Uint8Array): Buffer =>
  Buffer.concat([Buffer.of(0x26), field(name), field(value)]);

export interface ConnectBytes {
  readonly first?: number;
  readonly name?: string;
  readonly level?: number;
  readonly flags?: number;
  readonly keepAlive?: number;
  readonly properties?: readonly Part[];
  /** What is behind the variable header; without it, a client identifier. */
  readonly payload?: readonly Part[];
}

export function connectBytes(version: number, given: ConnectBytes = {}): Buffer {
  return packet(
    given.first ?? 0x10,
    field(given.name ?? 'MQTT'),
    [given.level ?? version, given.flags ?? 2],
    u16(given.keepAlive ?? 0),
    version === 5 ? properties(...(given.properties ?? [])) : [],
    ...(given.payload ?? [field('by-hand')]),
  );
}

export interface PublishBytes {
  readonly flags?: number;
  readonly topic?: string | Uint8Array;
  readonly id?: number;
  readonly properties?: readonly Part[];
  readonly payload?: string | Uint8Array;
}

/** `flags`: retain 1, QoS 2 and 4, DUP 8. */
export function publishBytes(version: number, given: PublishBytes = {}): Buffer {
  return packet(
    0x30 | (given.flags ?? 0),
    field(given.topic ?? 'a'),
    given.id === undefined ? [] : u16(given.id),
    version === 5 ? properties(...(given.properties ?? [])) : [],
    Buffer.from((given.payload ?? 'x') as string),
  );
}

/** SUBSCRIBE; `options` behind every filter. */
export function subscribeBytes(
  version: number,
  filters: readonly (string | Uint8Array)[],
  given: { first?: number; id?: number; options?: number; properties?: readonly Part[] } = {},
): Buffer {
  return packet(
    given.first ?? 0x82,
    u16(given.id ?? 1),
    version === 5 ? properties(...(given.properties ?? [])) : [],
    ...filters.map((filter) => joined([field(filter), [given.options ?? 0]])),
  );
}

export function unsubscribeBytes(
  version: number,
  filters: readonly (string | Uint8Array)[],
  given: { first?: number; id?: number } = {},
): Buffer {
  return packet(
    given.first ?? 0xa2,
    u16(given.id ?? 1),
    version === 5 ? [0] : [],
    ...filters.map((filter) => field(filter)),
  );
}
