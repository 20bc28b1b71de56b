/**
 * Payloads that were packed before they were sent, known by their first bytes:
 *
 *   gzip   1f 8b …         RFC 1952
 *   zlib   78 …            RFC 1950; not told from others by its first byte alone
 *   zstd   28 b5 2f fd …   RFC 8878; needs a Node that has it
 */
import * as zlib from 'node:zlib';
import { type Codec, DecodeError } from './codec.ts';

/** How a payload may be packed; `identity` is not at all, as in HTTP. */
export const contentEncodings = ['auto', 'identity', 'gzip', 'zlib', 'zstd'] as const;
export type ContentEncoding = (typeof contentEncodings)[number];
type Packing = Exclude<ContentEncoding, 'auto' | 'identity'>;

/** What may come out of a packed payload. */
export const unpackedBytesMax = 1_048_576;

type Unpack = (payload: Uint8Array, limits: { maxOutputLength: number }) => Uint8Array;
const unpackers: Readonly<Record<Packing, Unpack | undefined>> = {
  gzip: zlib.gunzipSync,
  zlib: zlib.inflateSync,
  zstd: (zlib as { readonly zstdDecompressSync?: Unpack }).zstdDecompressSync,
};

/**
 * The codec for payloads packed so. Throws `DecodeError` for what cannot be unpacked, and for more
 * than 1 MiB: that little can become very much is how an attacker would use it.
 */
export function unpacking(codec: Codec, encoding: ContentEncoding): Codec {
  if (encoding === 'identity') return codec;
  const plain = (payload: Uint8Array): Uint8Array => {
    const packing = encoding === 'auto' ? packingOf(payload) : encoding;
    return packing === undefined ? payload : unpacked(payload, packing);
  };
  const { find } = codec;
  return {
    ...codec,
    readsJsonObjects: codec.readsJsonObjects === true && encoding === 'auto',
    decode: (payload) => codec.decode(plain(payload)),
    ...(find === undefined
      ? {}
      : {
          find: (payload, topic, receivedAt) => find.call(codec, plain(payload), topic, receivedAt),
        }),
  };
}

/** Neither beginning can be that of text, JSON or CBOR. */
export function packingOf(payload: Uint8Array): Packing | undefined {
  if (payload[0] === 0x1f && payload[1] === 0x8b) return 'gzip';
  const isZstd =
    payload[0] === 0x28 && payload[1] === 0xb5 && payload[2] === 0x2f && payload[3] === 0xfd;
  return isZstd ? 'zstd' : undefined;
}

/** The bytes that were packed. */
export function unpacked(payload: Uint8Array, packing: Packing): Uint8Array {
  const unpack = unpackers[packing];
  if (unpack === undefined) {
    throw new DecodeError(`This Node cannot unpack ${packing}; 22.15 and later can.`);
  }
  try {
    return unpack(payload, { maxOutputLength: unpackedBytesMax });
  } catch (error) {
    const { code, message } = error as Error & { readonly code?: string };
    const reason =
      code === 'ERR_BUFFER_TOO_LARGE'
        ? `more than ${unpackedBytesMax} bytes come out of these ${payload.byteLength}`
        : message;
    throw new DecodeError(`Not ${packing}: ${reason}.`);
  }
}
