import { z } from 'zod';
import { duration } from '../kind/kind.ts';
import type { RegisterType } from './modbus-registers.ts';
import { registerTypes } from './modbus-registers.ts';

const types = Object.keys(registerTypes) as [RegisterType, ...RegisterType[]];

const register = z
  .strictObject({
    table: z
      .enum(['holding', 'input', 'coil', 'discrete'])
      .default('holding')
      .describe('Which of the four tables of the device.'),
    address: z
      .int()
      .min(0)
      .max(65_535)
      .describe('From 0, as it goes over the wire: what manuals call 40001 is holding 0.'),
    type: z.enum(types).default('uint16').describe('What the registers hold; coils hold bool.'),
    order: z
      .enum(['big', 'wordSwap', 'byteSwap', 'little'])
      .default('big')
      .describe(
        'For ABCD as it stands big; for CDAB wordSwap; for BADC byteSwap; for DCBA little.',
      ),
    scale: z.number().default(1).describe('The value is multiplied with this, …'),
    offset: z.number().default(0).describe('… and then this is added.'),
    decimals: z.int().min(0).max(12).optional().describe('Rounds to so many decimals.'),
  })
  .refine(({ address, type }) => address > 65_535 || address + registerTypes[type] <= 65_536, {
    message: 'the value would reach beyond the last register, 65535',
    path: ['address'],
  });

const device = z.strictObject({
  unit: z.int().min(0).max(255).default(1).describe('Its unit identifier, or slave address.'),
  registers: z
    .record(z.string().min(1).max(256), register)
    .refine((map) => Object.keys(map).length > 0, 'names no register')
    .describe('Field name to register.'),
});

export const modbusOptions = z.strictObject({
  url: z
    .string()
    .regex(
      /^(tcp:\/\/[^/\s:]+(:\d{1,5})?|tcp:\/\/\[[0-9A-Fa-f:.]+\](:\d{1,5})?|rtu:\/\/\/\S+)$/,
      'must be an address such as tcp://192.168.1.20:502 or rtu:///dev/ttyUSB0',
    )
    .describe('tcp://HOST:PORT for Modbus TCP, rtu:///dev/… for a serial line.'),
  baudRate: z.int().min(50).max(4_000_000).default(9_600).describe('For rtu.'),
  parity: z.enum(['none', 'even', 'odd']).default('none').describe('For rtu.'),
  stopBits: z
    .union([z.literal(1), z.literal(2)])
    .default(1)
    .describe('For rtu.'),
  every: duration
    .refine((ms) => ms >= 100, 'must be at least 100ms')
    .prefault('10s')
    .describe('How often every device is asked.'),
  timeout: duration.prefault('1s').describe('How long to wait for one answer.'),
  devices: z
    .record(z.string().regex(/^[^/+#]{1,256}$/, 'must be a name without /, + and #'), device)
    .refine((map) => Object.keys(map).length > 0, 'names no device')
    .describe('The devices on the line, by the names their readings get.'),
});
export type ModbusOptions = z.output<typeof modbusOptions>;
