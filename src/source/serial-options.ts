import { z } from 'zod';
import { duration, size } from '../kind/kind.ts';
import { checksumNames } from './checksum.ts';

const checksum = z
  .enum(checksumNames)
  .default('none')
  .describe('What stands behind each message to show that it is whole.');

const framing = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('line'),
    delimiter: z
      .string()
      .min(1)
      .max(16)
      .default('\n')
      .describe('Where a line ends; a CR before an LF is no part of it.'),
  }),
  z.strictObject({
    kind: z.literal('length'),
    bytes: z
      .union([z.literal(1), z.literal(2), z.literal(4)])
      .default(2)
      .describe('Bytes of the number that says how many follow.'),
    order: z.enum(['big', 'little']).default('big').describe('Which of them comes first.'),
    includesItself: z.boolean().default(false).describe('Whether the number counts itself.'),
    checksum,
  }),
  z.strictObject({ kind: z.literal('slip'), checksum }),
  z.strictObject({ kind: z.literal('cobs'), checksum }),
  z.strictObject({
    kind: z.literal('fixed'),
    bytes: z.int().min(1).max(65_536).describe('Bytes of every message.'),
  }),
  z.strictObject({ kind: z.literal('idle') }),
]);

const framingNames = ['line', 'length', 'slip', 'cobs', 'idle'] as const;

export const serialOptions = z.strictObject({
  path: z
    .string()
    .min(1)
    .describe(
      'The port: /dev/ttyUSB0, or better a name that stays with the device: ls /dev/serial/by-id.',
    ),
  baudRate: z.int().min(50).max(4_000_000).default(9_600).describe('Bits per second.'),
  dataBits: z
    .union([z.literal(5), z.literal(6), z.literal(7), z.literal(8)])
    .default(8)
    .describe('Bits of a character.'),
  parity: z.enum(['none', 'even', 'odd']).default('none').describe('The check bit.'),
  stopBits: z
    .union([z.literal(1), z.literal(2)])
    .default(1)
    .describe('Stop bits.'),
  rtscts: z.boolean().default(false).describe('Flow control by wire.'),
  framing: z
    .union([z.enum(framingNames).transform((kind) => framing.parse({ kind })), framing])
    .prefault('line')
    .describe(
      'Where a message ends: line, length, slip, cobs, idle, or { kind: …, … } with options; { kind: fixed, bytes: N }.',
    ),
  idle: duration
    .optional()
    .describe(
      'Silence after which a message has ended, or will not be finished. Default: 100ms for idle, 1s for length and fixed; the others need none.',
    ),
  frameBytes: size
    .refine((bytes) => bytes >= 1 && bytes <= 256 * 2 ** 10, 'must be from 1 to 256KiB')
    .prefault('16KiB')
    .describe('The largest message.'),
  silence: duration
    .optional()
    .describe('When nothing at all has come for so long, the port is opened anew.'),
  acknowledge: z
    .strictObject({
      safe: z.string().optional().describe('Written when a message is on the disk.'),
      bad: z.string().optional().describe('Written when a frame was not sound.'),
    })
    .prefault({})
    .describe('What the board hears of its messages, framed as they are. Default: nothing.'),
});
export type SerialOptions = z.output<typeof serialOptions>;

/** How long the line is silent before what has begun is taken for all there is; 0 is for ever. */
export function idleMsOf({ framing, idle }: SerialOptions): number {
  if (idle !== undefined) return idle;
  if (framing.kind === 'idle') return 100;
  return framing.kind === 'length' || framing.kind === 'fixed' ? 1_000 : 0;
}
