/**
 * Register maps: which registers to ask for, and what they mean (MODBUS Application Protocol
 * Specification V1.1b3, clause 4.3 and 6).
 */

export const registerTypes = {
  bool: 1,
  int16: 1,
  uint16: 1,
  int32: 2,
  uint32: 2,
  float32: 2,
  int64: 4,
  uint64: 4,
  float64: 4,
} as const;
export type RegisterType = keyof typeof registerTypes;

export type Table = 'coil' | 'discrete' | 'holding' | 'input';

/** Bytes of several registers: as they stand; registers swapped; bytes swapped; both. */
export type ByteOrder = 'big' | 'wordSwap' | 'byteSwap' | 'little';

export interface Register {
  readonly field: string;
  readonly table: Table;
  readonly address: number;
  readonly type: RegisterType;
  readonly order: ByteOrder;
  readonly scale: number;
  readonly offset: number;
  readonly decimals?: number;
}

/** Registers next to each other that are asked for together. */
export interface Span {
  readonly table: Table;
  readonly address: number;
  length: number;
  readonly registers: Register[];
}

/** Clause 6.1 and 6.3: at most 2,000 bits or 125 registers are read at once. */
const registersMax = 125;
const bitsMax = 2_000;
/** To read some registers in vain costs less than to ask a second time. */
const gapMax = 8;

/** As few questions as there can be. */
export function spansOf(registers: readonly Register[]): Span[] {
  const sorted = [...registers].sort(
    (a, b) => a.table.localeCompare(b.table) || a.address - b.address,
  );
  const spans: Span[] = [];
  for (const register of sorted) {
    const size = sizeOf(register);
    const last = spans.at(-1);
    const end = register.address + size;
    const fits =
      last !== undefined &&
      last.table === register.table &&
      register.address <= last.address + last.length + gapMax &&
      end - last.address <= (isBits(register.table) ? bitsMax : registersMax);
    if (fits) {
      last.length = Math.max(last.length, end - last.address);
      last.registers.push(register);
    } else {
      const { table, address } = register;
      spans.push({ table, address, length: size, registers: [register] });
    }
  }
  return spans;
}

export function isBits(table: Table): boolean {
  return table === 'coil' || table === 'discrete';
}

function sizeOf({ table, type }: Register): number {
  return isBits(table) ? 1 : registerTypes[type];
}

/** The value as JSON text, integers of 64 bits with all their digits. `bytes` begin at the span. */
export function valueText(register: Register, span: Span, bytes: Buffer): string | undefined {
  const at = register.address - span.address;
  if (isBits(register.table)) return String((bytes[at >> 3]! & (1 << (at & 7))) !== 0);
  const size = 2 * registerTypes[register.type];
  const value = read(register.type, ordered(bytes.subarray(2 * at, 2 * at + size), register.order));
  const { scale, offset, decimals } = register;
  if (typeof value === 'boolean') return String(value);
  if (typeof value === 'bigint' && scale === 1 && offset === 0) return String(value);
  const scaled = Number(value) * scale + offset;
  if (!Number.isFinite(scaled)) return undefined;
  // 0.1 times a whole number is seldom what it looks like.
  return String(
    decimals === undefined ? Number(scaled.toPrecision(12)) : Number(scaled.toFixed(decimals)),
  );
}

function ordered(bytes: Buffer, order: ByteOrder): Buffer {
  const out = Buffer.from(bytes);
  if (order === 'byteSwap') return out.swap16();
  if (order === 'little') return out.reverse();
  return order === 'wordSwap' ? out.reverse().swap16() : out;
}

function read(type: RegisterType, bytes: Buffer): number | bigint | boolean {
  switch (type) {
    case 'bool':
      return bytes.readUInt16BE() !== 0;
    case 'int16':
      return bytes.readInt16BE();
    case 'uint16':
      return bytes.readUInt16BE();
    case 'int32':
      return bytes.readInt32BE();
    case 'uint32':
      return bytes.readUInt32BE();
    case 'float32':
      return bytes.readFloatBE();
    case 'int64':
      return bytes.readBigInt64BE();
    case 'uint64':
      return bytes.readBigUInt64BE();
    case 'float64':
      return bytes.readDoubleBE();
  }
}
