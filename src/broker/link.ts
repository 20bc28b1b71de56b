import type { Rights } from './access.ts';
import type { Connection } from './connection.ts';
import type { Delivery, DropReason } from './delivery.ts';
import { encodeAcknowledgement } from './encode-answers.ts';
import type { Frame } from './frame.ts';
import { dupStamp } from './frame.ts';
import { OutboxAliases } from './outbox-aliases.ts';

export interface LinkOptions {
  readonly connection: Connection;
  readonly version: 3 | 4 | 5;
  /** QoS 1 and 2 messages under way at once. */
  readonly receiveMaximum: number;
  readonly maximumPacketSize: number;
  readonly topicAliasMaximum: number;
}

/** The way to a client that is connected, with what it has said about what it takes. */
export class Link {
  readonly connection: Connection;
  readonly version: 3 | 4 | 5;
  readonly receiveMaximum: number;
  readonly #maximumPacketSize: number;
  readonly #aliases: OutboxAliases | undefined;

  constructor(options: LinkOptions) {
    const { connection, version, topicAliasMaximum } = options;
    this.connection = connection;
    this.version = version;
    this.receiveMaximum = options.receiveMaximum;
    this.#maximumPacketSize = options.maximumPacketSize;
    this.#aliases = topicAliasMaximum > 0 ? new OutboxAliases(topicAliasMaximum) : undefined;
  }

  get rights(): Rights {
    return this.connection.rights;
  }

  /** The client does not take what it is sent. */
  get isSlow(): boolean {
    return this.connection.isSlow;
  }

  /** Writes the PUBLISH, or says why that cannot be. */
  publish(delivery: Delivery, now: number): DropReason | undefined {
    const { message, id, isSent } = delivery;
    // What was begun is ended [MQTT5-4.3.3-7].
    if (!isSent && message.isExpired(now)) return 'expired';
    const frame = this.#frameOf(delivery, now);
    if (frame === undefined) return 'too_large_for_subscriber';
    this.connection.publish(frame, isSent ? id | dupStamp : id);
    const { traffic } = this.connection;
    traffic.packetsOut += 1;
    traffic.publishesOut += 1;
    traffic.publishBytesOut += message.bytes;
    return undefined;
  }

  /** PUBREL; with 0x92 when its message is not known, for those who understand that. */
  release(id: number, reason = 0): void {
    this.write(encodeAcknowledgement(0x62, id, this.version === 5 ? reason : 0));
  }

  write(packet: Uint8Array): void {
    this.connection.answer(packet);
  }

  #frameOf(delivery: Delivery, now: number): Frame | undefined {
    const { message, qos, retain, subscriptionIds } = delivery;
    const wanted = { version: this.version, qos, retain, subscriptionIds };
    const aliases = this.#aliases;
    const most = this.#maximumPacketSize;
    if (aliases === undefined || message.topic.length < 4) {
      const frame = message.frame(wanted, now);
      return frame.size <= most ? frame : undefined;
    }
    // The alias with its topic may be just too long where either alone is not.
    if (message.bytes + 64 + 5 * subscriptionIds.length > most) {
      const frame = message.frame(wanted, now);
      if (frame.size > most) return undefined;
      if (frame.size + 3 > most) return frame;
    }
    const alias = aliases.use(message.topic);
    return message.aliased(wanted, now, Math.abs(alias), alias > 0);
  }
}
