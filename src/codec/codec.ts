import type { z } from 'zod';
import type { Extensions, Value } from '../event/event.ts';
import type { Kind } from '../kind/kind.ts';

/** What a codec finds in a payload: a tree of values, not yet mapped to a device and fields. */
export type Document = Value | null | readonly Document[] | { readonly [key: string]: Document };

/**
 * A reading of a format that says itself whose it is: SenML, line protocol. What is absent, the
 * mapping says; what the mapping says in so many words counts more than this.
 */
export interface FoundReading {
  readonly device?: string | undefined;
  readonly measurement?: string | undefined;
  readonly tags?: Readonly<Record<string, string>> | undefined;
  /** Milliseconds since the epoch. */
  readonly time?: number | undefined;
  readonly fields: Readonly<Record<string, Value>>;
  /** What the event carries beside them: `historical` for what is not of now. */
  readonly extensions?: Extensions | undefined;
}

/** What is to be published in answer to a message. */
export interface Reply {
  readonly topic: string;
  readonly payload: Uint8Array;
}

/**
 * What a payload holds: a document to be mapped, or readings; why some of it is neither; and what a
 * format in which both sides speak says to it.
 */
export type Found = (
  | { readonly document: Document }
  | { readonly readings: readonly FoundReading[] }
) & { readonly problem?: string | undefined; readonly replies?: readonly Reply[] | undefined };

/** Bytes on the wire to a document and back. */
export interface Codec {
  readonly name: string;
  readonly contentType: string;
  /** Throws `DecodeError` for bytes that are not what they claim to be. */
  decode(payload: Uint8Array): Document;
  encode(document: Document): Uint8Array;
  /** What begins with { it reads as the JSON codec does. */
  readonly readsJsonObjects?: boolean;
  /**
   * Asked instead of `decode` where a codec has it: for formats that name devices, measurements and
   * times themselves, that need the topic, or of which a part may be read when the rest cannot.
   * `receivedAt` is in milliseconds since the epoch. Throws `DecodeError` when nothing can be read.
   */
  find?(payload: Uint8Array, topic: string, receivedAt: number): Found;
}

/** The bytes make no sense; the message says where and why. */
export class DecodeError extends Error {
  override readonly name = 'DecodeError';
}

/** It can be read, and says that there is no value. */
export class NoValueError extends DecodeError {}

/** Texts of files that options refer to, by their paths as the options write them. */
export type CodecFiles = ReadonlyMap<string, string>;

/** One kind of codec; its options are what a mapping may say about it. */
export type CodecKind = Kind<z.ZodObject, CodecFiles, Codec> & {
  /** Its payloads name their devices, so that neither topic nor mapping needs to. */
  readonly namesDevices?: true;
};
