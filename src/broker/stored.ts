/** A packet as aedes keeps it: a message, or the PUBREL that stands for one. */
export interface StoredPacket {
  cmd: string;
  brokerId?: string | null;
  brokerCounter?: number;
  topic: string;
  payload: Uint8Array | string;
  qos: 0 | 1 | 2;
  retain: boolean;
  dup: boolean;
  messageId?: number | undefined;
  properties?: Readonly<Record<string, unknown>>;
  /** Milliseconds since the epoch. */
  messageExpiry?: number;
}

/** A subscription as aedes keeps it. */
export interface StoredSubscription {
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
  readonly rh?: number;
  readonly rap?: boolean;
  readonly nl?: boolean;
  readonly subscriptionIdentifier?: number;
}

export interface ClientId {
  readonly id: string;
}

/** What a message takes of a limit in bytes. */
export function sizeOf(packet: { readonly topic: string; readonly payload: Uint8Array | string }) {
  return packet.topic.length + packet.payload.length;
}

/** A copy that does not hold on to the much larger piece of memory it arrived in. */
export function ownBytes(payload: Uint8Array | string): Buffer {
  return Buffer.from(payload as Uint8Array);
}
