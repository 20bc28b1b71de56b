import type { z } from 'zod';
import type { Value } from '../event/event.ts';
import type { Kind } from '../kind/kind.ts';

/** What a codec finds in a payload: a tree of values, not yet mapped to a device and fields. */
export type Document = Value | null | readonly Document[] | { readonly [key: string]: Document };

/** Bytes on the wire to a document and back. */
export interface Codec {
  readonly name: string;
  readonly contentType: string;
  /** Throws `DecodeError` for bytes that are not what they claim to be. */
  decode(payload: Uint8Array): Document;
  encode(document: Document): Uint8Array;
}

/** The bytes make no sense; the message says where and why. */
export class DecodeError extends Error {
  override readonly name = 'DecodeError';
}

/** One kind of codec; its options are what a mapping may say about it. */
export type CodecKind = Kind<z.ZodObject, void, Codec>;
