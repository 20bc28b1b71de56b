import * as zlib from 'node:zlib';
import { expect, test } from 'vitest';
import { unpacking } from '../../src/codec/content-encoding.ts';
import { jsonCodec } from '../../src/codec/json.ts';

const { zstdCompressSync } = zlib as { readonly zstdCompressSync?: (bytes: Buffer) => Buffer };
/** The beginning of a frame, of which no more came. */
const frame = Buffer.from('28b52ffd0400510000', 'hex');

const isThere = zstdCompressSync !== undefined;
console.log(`zstd: this Node (${process.version}) ${isThere ? 'has it' : 'has it not'}`);

test('zstd is unpacked where Node can, and refused with the remedy where it cannot', () => {
  const read = (encoding: 'auto' | 'zstd', bytes: Buffer) =>
    unpacking(jsonCodec, encoding).decode(bytes);
  for (const encoding of ['auto', 'zstd'] as const) {
    if (zstdCompressSync === undefined) {
      const remedy = 'This Node cannot unpack zstd; 22.15 and later can.';
      expect(() => read(encoding, frame)).toThrow(remedy);
    } else {
      expect(read(encoding, zstdCompressSync(Buffer.from('{"t":21.5}')))).toEqual({ t: 21.5 });
      expect(() => read(encoding, frame)).toThrow('Not zstd: ');
    }
  }
});

test('little that becomes much is refused', () => {
  const bomb = zstdCompressSync?.(Buffer.alloc(2 ** 21)) ?? zlib.gzipSync(Buffer.alloc(2 ** 21));
  expect(() => unpacking(jsonCodec, 'auto').decode(bomb)).toThrow(
    'more than 1048576 bytes come out',
  );
});
