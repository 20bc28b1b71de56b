/**
 * Cayenne Low Power Payload, as many LoRaWAN devices send it: values one after the other, big-endian.
 *
 *   channel u8 · type u8 · value, as long as its type says
 *
 *   03 67 01 10   temperature_3: 27.2          0x67 is 103, two bytes in tenths
 *
 * Names are those of the decoders of The Things Stack and ChirpStack, the channel behind them.
 */
import { DecodeError, type Document } from './codec.ts';

interface LppType {
  readonly name: string;
  /** One value has no name of its own; several are x, y, z and the like. */
  readonly parts: readonly LppPart[];
}

interface LppPart {
  readonly name: string;
  readonly size: number;
  readonly isSigned: boolean;
  /** Steps in one. */
  readonly steps: number;
}

const unsigned = (size: number, steps = 1, name = '') => ({ name, size, isSigned: false, steps });
const signed = (size: number, steps = 1, name = '') => ({ name, size, isSigned: true, steps });
const inSpace = (steps: number) => ['x', 'y', 'z'].map((name) => signed(2, steps, name));

/** By their number, which is that of the IPSO object less 3200. */
const lppTypes = new Map<number, LppType>([
  [0, { name: 'digital_in', parts: [unsigned(1)] }],
  [1, { name: 'digital_out', parts: [unsigned(1)] }],
  [2, { name: 'analog_in', parts: [signed(2, 100)] }],
  [3, { name: 'analog_out', parts: [signed(2, 100)] }],
  [100, { name: 'generic_sensor', parts: [unsigned(4)] }],
  [101, { name: 'luminosity', parts: [unsigned(2)] }],
  [102, { name: 'presence', parts: [unsigned(1)] }],
  [103, { name: 'temperature', parts: [signed(2, 10)] }],
  [104, { name: 'relative_humidity', parts: [unsigned(1, 2)] }],
  [113, { name: 'accelerometer', parts: inSpace(1_000) }],
  [115, { name: 'barometric_pressure', parts: [unsigned(2, 10)] }],
  [116, { name: 'voltage', parts: [unsigned(2, 100)] }],
  [117, { name: 'current', parts: [unsigned(2, 1_000)] }],
  [118, { name: 'frequency', parts: [unsigned(4)] }],
  [120, { name: 'percentage', parts: [unsigned(1)] }],
  [121, { name: 'altitude', parts: [signed(2)] }],
  [125, { name: 'concentration', parts: [unsigned(2)] }],
  [128, { name: 'power', parts: [unsigned(2)] }],
  [130, { name: 'distance', parts: [unsigned(4, 1_000)] }],
  [131, { name: 'energy', parts: [unsigned(4, 1_000)] }],
  [132, { name: 'direction', parts: [unsigned(2)] }],
  [133, { name: 'unix_time', parts: [unsigned(4)] }],
  [134, { name: 'gyrometer', parts: inSpace(100) }],
  [135, { name: 'colour', parts: ['r', 'g', 'b'].map((name) => unsigned(1, 1, name)) }],
  [
    136,
    {
      name: 'gps',
      parts: [
        signed(3, 10_000, 'latitude'),
        signed(3, 10_000, 'longitude'),
        signed(3, 100, 'altitude'),
      ],
    },
  ],
  [142, { name: 'switch', parts: [unsigned(1)] }],
]);
const numberOfName = new Map([...lppTypes].map(([number, { name }]) => [name, number]));

/** Points of a way, its own length in front; kept as hexadecimal digits. */
const polyline = 240;

/** Throws `DecodeError`, naming the byte, for an unknown type and for a value that is not whole. */
export function cayenneDocumentOf(bytes: Buffer): Document {
  const values: Record<string, Document> = {};
  for (let at = 0; at < bytes.length; ) {
    const type = lppTypes.get(bytes[at + 1] ?? -1);
    if (bytes[at + 1] === polyline) {
      const end = at + 2 + (bytes[at + 2] ?? 0);
      if (end <= at + 2 || end > bytes.length) {
        throw new DecodeError(`Not Cayenne LPP: a polyline at byte ${at + 1} is not whole.`);
      }
      values[`polyline_${bytes[at]}`] = bytes.toString('hex', at + 2, end);
      at = end;
      continue;
    }
    if (type === undefined) {
      const what = at + 1 < bytes.length ? `type ${bytes[at + 1]} is unknown` : 'a type is missing';
      throw new DecodeError(`Not Cayenne LPP: ${what} at byte ${at + 2}.`);
    }
    const name = `${type.name}_${bytes[at]}`;
    at += 2;
    const parts: Record<string, number> = {};
    for (const part of type.parts) {
      const { size, steps } = part;
      if (at + size > bytes.length) {
        throw new DecodeError(`Not Cayenne LPP: ${name} ends at byte ${bytes.length}, too early.`);
      }
      const raw = part.isSigned ? bytes.readIntBE(at, size) : bytes.readUIntBE(at, size);
      parts[part.name] = raw / steps;
      at += size;
    }
    values[name] = type.parts.length === 1 ? parts['']! : parts;
  }
  return values;
}

/** Throws a TypeError for a name that is none of a value, and a RangeError for one too large. */
export function cayenneBytesOf(document: Document): Buffer {
  const parts: Buffer[] = [];
  for (const [name, value] of Object.entries(document as { readonly [key: string]: Document })) {
    const cut = name.lastIndexOf('_');
    const number = numberOfName.get(name.slice(0, cut));
    const channel = Number(name.slice(cut + 1));
    if (name.startsWith('polyline_')) {
      parts.push(Buffer.of(channel, polyline), Buffer.from(value as string, 'hex'));
      continue;
    }
    if (number === undefined) throw new TypeError(`${name} is no value of Cayenne LPP.`);
    parts.push(Buffer.of(channel, number));
    for (const { name: part, size, isSigned, steps } of lppTypes.get(number)!.parts) {
      const own = part === '' ? value : (value as { readonly [key: string]: Document })[part];
      const raw = Math.round(Number(own) * steps);
      const bytes = Buffer.alloc(size);
      if (isSigned) bytes.writeIntBE(raw, 0, size);
      else bytes.writeUIntBE(raw, 0, size);
      parts.push(bytes);
    }
  }
  return Buffer.concat(parts);
}
