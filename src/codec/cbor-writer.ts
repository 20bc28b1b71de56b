import type { Document } from './codec.ts';
import { halfBitsOf, halfOf } from './half.ts';

/** What can be written as CBOR: a document, and what only some formats have in it. */
export type CborNode =
  | Document
  | Uint8Array
  | readonly CborNode[]
  | ReadonlyMap<number | string, CborNode>
  | { readonly [key: string]: CborNode };

/**
 * In the deterministic encoding of RFC 8949, section 4.2.1: the shortest form of every number,
 * lengths in front, keys in the order of their bytes. Throws a RangeError for an integer beyond
 * 64 bits.
 */
export function cborOf(node: CborNode): Buffer {
  const parts: Uint8Array[] = [];
  write(node, parts);
  return Buffer.concat(parts);
}

function write(node: CborNode, parts: Uint8Array[]): void {
  if (typeof node === 'number') parts.push(numberBytes(node));
  else if (typeof node === 'bigint') parts.push(integerBytes(node));
  else if (typeof node === 'boolean') parts.push(Buffer.of(node ? 0xf5 : 0xf4));
  else if (typeof node === 'string') {
    const text = Buffer.from(node);
    parts.push(headBytes(3, text.length), text);
  } else if (node === null) parts.push(Buffer.of(0xf6));
  else if (node instanceof Uint8Array) parts.push(headBytes(2, node.length), node);
  else if (Array.isArray(node)) {
    parts.push(headBytes(4, node.length));
    for (const each of node as readonly CborNode[]) write(each, parts);
  } else writeMap(node as ReadonlyMap<number | string, CborNode>, parts);
}

function writeMap(
  node: ReadonlyMap<number | string, CborNode> | { readonly [key: string]: CborNode },
  parts: Uint8Array[],
): void {
  const entries = node instanceof Map ? [...node] : Object.entries(node);
  const members = entries.map(([key, value]) => ({ key: cborOf(key), value: cborOf(value) }));
  members.sort((one, other) => Buffer.compare(one.key, other.key));
  parts.push(headBytes(5, members.length));
  for (const { key, value } of members) parts.push(key, value);
}

function headBytes(major: number, size: number): Buffer {
  const first = major << 5;
  if (size < 24) return Buffer.of(first | size);
  if (size < 0x100) return Buffer.of(first | 24, size);
  if (size < 0x10000) return Buffer.of(first | 25, size >> 8, size & 0xff);
  if (size < 2 ** 32) {
    const bytes = Buffer.of(first | 26, 0, 0, 0, 0);
    bytes.writeUInt32BE(size, 1);
    return bytes;
  }
  const bytes = Buffer.alloc(9, first | 27);
  bytes.writeBigUInt64BE(BigInt(size), 1);
  return bytes;
}

function integerBytes(value: bigint): Buffer {
  const isNegative = value < 0n;
  const size = isNegative ? -1n - value : value;
  if (size > 0xffff_ffff_ffff_ffffn) throw new RangeError(`${value} does not fit in 64 bits.`);
  if (size <= BigInt(Number.MAX_SAFE_INTEGER)) return headBytes(isNegative ? 1 : 0, Number(size));
  const bytes = Buffer.alloc(9, isNegative ? 0x3b : 0x1b);
  bytes.writeBigUInt64BE(size, 1);
  return bytes;
}

function numberBytes(value: number): Buffer {
  if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
    return value < 0 ? headBytes(1, -1 - value) : headBytes(0, value);
  }
  if (Number.isNaN(value)) return Buffer.of(0xf9, 0x7e, 0);
  const half = halfBitsOf(value);
  if (halfOf(half) === value) return Buffer.of(0xf9, half >> 8, half & 0xff);
  const isSingle = Math.fround(value) === value;
  const bytes = Buffer.alloc(isSingle ? 5 : 9, isSingle ? 0xfa : 0xfb);
  if (isSingle) bytes.writeFloatBE(value, 1);
  else bytes.writeDoubleBE(value, 1);
  return bytes;
}
