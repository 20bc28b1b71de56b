import { crc32 } from 'node:zlib';

/** The check values of frames, as they stand behind what they check, the lowest byte last unless said. */
export const checksums = {
  none: { bytes: 0, of: () => Buffer.alloc(0) },
  /** CRC-16/MODBUS (polynomial 0x8005 reflected, from 0xFFFF); the lowest byte first. */
  'crc16-modbus': {
    bytes: 2,
    of(payload) {
      const out = Buffer.alloc(2);
      out.writeUInt16LE(crc16Modbus(payload));
      return out;
    },
  },
  /** CRC-16/IBM-3740, often called CRC-16-CCITT: polynomial 0x1021, from 0xFFFF. */
  'crc16-ccitt': {
    bytes: 2,
    of(payload) {
      const out = Buffer.alloc(2);
      out.writeUInt16BE(crc16Ccitt(payload));
      return out;
    },
  },
  /** CRC-32/ISO-HDLC, as in Ethernet and gzip. */
  crc32: {
    bytes: 4,
    of(payload) {
      const out = Buffer.alloc(4);
      out.writeUInt32BE(crc32(payload));
      return out;
    },
  },
} as const satisfies Record<string, { bytes: number; of(payload: Uint8Array): Buffer }>;

export type Checksum = keyof typeof checksums;
export const checksumNames = Object.keys(checksums) as [Checksum, ...Checksum[]];

function crc16Modbus(bytes: Uint8Array): number {
  let crc = 0xffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >> 1) ^ 0xa001 : crc >> 1;
  }
  return crc;
}

function crc16Ccitt(bytes: Uint8Array): number {
  let crc = 0xffff;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) {
      crc = (crc & 0x8000) === 0 ? (crc << 1) & 0xffff : ((crc << 1) ^ 0x1021) & 0xffff;
    }
  }
  return crc;
}
