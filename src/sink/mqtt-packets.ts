/** PUBLISH packets, many in one piece of memory: MQTT 3.1.1 and 5.0, clause 3.3. */

export interface PublishShape {
  readonly version: 4 | 5;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  /** Told in version 5. */
  readonly contentType: string;
}

export interface PacketWriter {
  /** Appends a packet; `id` is left out at QoS 0. */
  add(topic: string, payload: string, id: number): void;
  /** What was appended since the last time, or undefined. The bytes are the caller's. */
  take(): Buffer | undefined;
}

export const topicBytesMax = 65_535;
const pieceBytes = 65_536;
const fixedHeaderBytesMax = 5;

/** How many bytes such a packet has. */
export function packetBytesOf(topicBytes: number, payloadBytes: number, shape: PublishShape) {
  const remaining = remainingOf(topicBytes, payloadBytes, shape);
  const length = remaining < 128 ? 1 : remaining < 16_384 ? 2 : remaining < 2_097_152 ? 3 : 4;
  return 1 + length + remaining;
}

function remainingOf(topicBytes: number, payloadBytes: number, shape: PublishShape): number {
  const properties = shape.version === 5 ? 1 + 3 + shape.contentType.length : 0;
  return 2 + topicBytes + (shape.qos === 0 ? 0 : 2) + properties + payloadBytes;
}

export function createPacketWriter(shape: PublishShape): PacketWriter {
  const { version, qos, retain, contentType } = shape;
  const first = 0x30 | (qos << 1) | (retain ? 1 : 0);
  const properties = version === 5 ? propertiesOf(contentType) : Buffer.alloc(0);
  let bytes = Buffer.allocUnsafe(pieceBytes);
  let from = 0;
  let at = 0;

  const makeRoom = (needed: number): void => {
    if (at + needed <= bytes.length) return;
    const pending = bytes.subarray(from, at);
    const grown = Buffer.allocUnsafe(Math.max(pieceBytes, (pending.length + needed) * 2));
    pending.copy(grown);
    bytes = grown;
    at = pending.length;
    from = 0;
  };
  return {
    add(topic, payload, id) {
      const topicBytes = Buffer.byteLength(topic);
      let remaining = remainingOf(topicBytes, Buffer.byteLength(payload), shape);
      makeRoom(fixedHeaderBytesMax + remaining);
      bytes[at++] = first;
      for (; remaining > 127; remaining >>>= 7) bytes[at++] = (remaining & 127) | 128;
      bytes[at++] = remaining;
      at = bytes.writeUInt16BE(topicBytes, at);
      at += bytes.write(topic, at);
      if (qos > 0) at = bytes.writeUInt16BE(id, at);
      at += properties.copy(bytes, at);
      at += bytes.write(payload, at);
    },
    take() {
      if (at === from) return undefined;
      const taken = bytes.subarray(from, at);
      // What is behind it is used next: nothing is written twice.
      from = at;
      return taken;
    },
  };
}

/** Property 3, the content type. */
function propertiesOf(contentType: string): Buffer {
  const { length } = contentType;
  return Buffer.concat([
    Buffer.from([3 + length, 3, length >> 8, length & 255]),
    Buffer.from(contentType),
  ]);
}
