import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checksums } from '../../src/source/checksum.ts';
import { createFramer, type Frame, type FramingOptions } from '../../src/source/serial-framing.ts';

const framings: readonly FramingOptions[] = [
  { kind: 'slip', checksum: 'none' },
  { kind: 'slip', checksum: 'crc16-ccitt' },
  { kind: 'cobs', checksum: 'none' },
  { kind: 'cobs', checksum: 'crc32' },
  { kind: 'cobs', checksum: 'crc16-modbus' },
  { kind: 'length', bytes: 1, order: 'big', includesItself: false, checksum: 'none' },
  { kind: 'length', bytes: 2, order: 'little', includesItself: true, checksum: 'crc16-ccitt' },
  { kind: 'length', bytes: 4, order: 'big', includesItself: false, checksum: 'crc32' },
];
const nameOf = ({ kind, ...rest }: FramingOptions): string => `${kind} ${JSON.stringify(rest)}`;
const bytesMax = 200;

/** The bytes in pieces of the given sizes, again and again. */
function inPieces(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length]!;
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return pieces;
}

describe.each(framings.map((framing) => ({ name: nameOf(framing), framing })))(
  'framing $name',
  ({ framing }) => {
    test('frames come out as they went in, however they are cut into pieces', () => {
      fc.assert(
        fc.property(
          fc.array(fc.uint8Array({ minLength: 1, maxLength: bytesMax }), { maxLength: 5 }),
          fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 5 }),
          (payloads, sizes) => {
            const framer = createFramer(framing, bytesMax);
            const sent = Buffer.concat(payloads.map((payload) => framer.encode(payload)));
            const frames = inPieces(sent, sizes).flatMap((piece) => framer.push(piece));
            expect(frames).toEqual(payloads.map((payload) => ({ payload: Buffer.from(payload) })));
            expect(framer.rest()).toBeUndefined();
          },
        ),
      );
    });

    test('any bytes at all neither throw nor keep more than a frame may have', () => {
      fc.assert(
        fc.property(fc.array(fc.uint8Array({ maxLength: 600 }), { maxLength: 10 }), (chunks) => {
          const framer = createFramer(framing, bytesMax);
          const frames: Frame[] = chunks.flatMap((chunk) => [...framer.push(chunk)]);
          const rest = framer.rest();
          for (const { payload } of rest === undefined ? frames : [...frames, rest]) {
            expect(payload.length).toBeLessThanOrEqual(2 * (bytesMax + 4) + 2);
          }
          expect(framer.rest()).toBeUndefined();
        }),
      );
    });
  },
);

describe('line', () => {
  const lines = (text: string, delimiter = '\n') =>
    createFramer({ kind: 'line', delimiter }, 20)
      .push(Buffer.from(text))
      .map(({ payload, problem }) => (problem === undefined ? String(payload) : problem));

  test('ends at LF or CRLF; empty lines are nothing', () => {
    expect(lines('21.5\r\n\n22\n23')).toEqual(['21.5', '22']);
  });

  test('may end with several characters', () => {
    expect(lines('a;b;;c;;;d', ';;')).toEqual(['a;b', 'c']);
    expect(lines('a---\nb--\n', '--\n')).toEqual(['a-', 'b']);
  });

  test('a line without end takes no more memory than allowed, and is reported', () => {
    const framer = createFramer({ kind: 'line', delimiter: '\n' }, 20);
    for (let times = 0; times < 1000; times++) framer.push(Buffer.alloc(1000, 'x'));
    const [frame] = framer.push(Buffer.from('\n'));
    expect(frame!.payload.length).toBeLessThanOrEqual(21);
    expect(frame!.problem).toContain('1000001 bytes; 21 are allowed');
    expect(framer.push(Buffer.from('ok\n'))).toEqual([{ payload: Buffer.from('ok') }]);
  });

  test('what had begun when the line went away is kept as such', () => {
    const framer = createFramer({ kind: 'line', delimiter: '\n' }, 20);
    framer.push(Buffer.from('21.'));
    expect(framer.rest()).toMatchObject({
      payload: Buffer.from('21.'),
      problem: expect.stringMatching(/middle/),
    });
  });
});

test('a frame whose checksum is wrong is kept whole, with both checksums', () => {
  const framer = createFramer({ kind: 'cobs', checksum: 'crc16-ccitt' }, 100);
  const sent = framer.encode(Buffer.from('hello'));
  sent[2]! ^= 1;
  const [frame] = framer.push(sent);
  expect(frame!.problem).toMatch(/checksum is [0-9a-f]{4}; the frame says [0-9a-f]{4}/);
});

test('checksums are those of the catalogues of CRCs, for 123456789', () => {
  const check = Buffer.from('123456789');
  expect(checksums['crc16-ccitt'].of(check).toString('hex')).toBe('29b1');
  expect(checksums['crc16-modbus'].of(check).toString('hex')).toBe('374b');
  expect(checksums.crc32.of(check).toString('hex')).toBe('cbf43926');
});

test('fixed frames have their size; idle ones end with silence', () => {
  const fixed = createFramer({ kind: 'fixed', bytes: 3 }, 100);
  expect(fixed.push(Buffer.from('abcdefgh')).map(({ payload }) => String(payload))).toEqual([
    'abc',
    'def',
  ]);
  expect(fixed.rest()).toMatchObject({
    payload: Buffer.from('gh'),
    problem: expect.stringMatching(/middle/),
  });
  const idle = createFramer({ kind: 'idle' }, 100);
  expect(idle.push(Buffer.from('ab'))).toEqual([]);
  idle.push(Buffer.from('cd'));
  expect(idle.rest()).toEqual({ payload: Buffer.from('abcd') });
});
