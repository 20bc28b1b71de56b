/**
 * Damaged and invented bytes against every framing.
 *
 *   TIDEGATE_FUZZ_INPUTS=1000000 TIDEGATE_SEED=7 npx vitest run test/source/serial-framing-fuzz.test.ts
 */
import { expect, test } from 'vitest';
import { createFramer, type FramingOptions } from '../../src/source/serial-framing.ts';
import { createChance } from '../codec/damage.ts';

const seed = Number(process.env.TIDEGATE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const inputs = Number(process.env.TIDEGATE_FUZZ_INPUTS ?? 5_000);
const bytesMax = 512;

const checksums = ['none', 'crc16-modbus', 'crc16-ccitt', 'crc32'] as const;
const framings: readonly FramingOptions[] = [
  { kind: 'line', delimiter: '\n' },
  { kind: 'line', delimiter: '--\n' },
  { kind: 'fixed', bytes: 12 },
  { kind: 'idle' },
  ...checksums.flatMap((checksum): FramingOptions[] => [
    { kind: 'slip', checksum },
    { kind: 'cobs', checksum },
    { kind: 'length', bytes: 2, order: 'big', includesItself: false, checksum },
  ]),
  { kind: 'length', bytes: 4, order: 'little', includesItself: true, checksum: 'none' },
];

test.each(framings.map((framing) => [JSON.stringify(framing), framing] as const))(
  `framing %s: frames stay in their bounds, and after silence a whole one is read (seed ${seed})`,
  (_name, framing) => {
    const chance = createChance(seed);
    const framer = createFramer(framing, bytesMax);
    const whole = Buffer.from('twelve bytes');
    for (let count = 0; count < inputs; count++) {
      const chunk = Buffer.from(framer.encode(Buffer.alloc(chance(300), chance(256))));
      for (let damages = chance(4); damages > 0; damages--) {
        if (chunk.length > 0) chunk[chance(chunk.length)] = chance(256);
      }
      for (const { payload } of framer.push(chunk.subarray(chance(chunk.length + 1)))) {
        if (payload.length > 2 * (bytesMax + 4) + 2) {
          throw new Error(`Input ${count} of seed ${seed}: a frame of ${payload.length} bytes.`);
        }
      }
      if (count % 100 !== 99) continue;
      framer.rest();
      const frames = [...framer.push(framer.encode(whole))];
      const rest = framing.kind === 'idle' ? framer.rest() : undefined;
      expect(rest === undefined ? frames : [rest]).toEqual([{ payload: whole }]);
    }
  },
  3_600_000,
);
