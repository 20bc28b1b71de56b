import {
  generate,
  type IConnackPacket,
  type IPublishPacket,
  type Packet as MqttPacket,
  type Parser,
  parser,
} from 'mqtt-packet';
import type { DeviceMessage } from '../device.ts';
import type { Caller, Link, LinkEvents, Sent, Transport } from './link.ts';
import { type ByteStream, streamsTo, type TlsOptions } from './stream.ts';

export interface MqttOptions extends TlsOptions {
  /** mqtt://, mqtts://, ws:// or wss:// */
  readonly url: string;
  /** 4 is MQTT 3.1.1. */
  readonly protocol: 4 | 5;
  readonly qos: 0 | 1 | 2;
  /** Messages that may await their acknowledgement; the server may ask for fewer (MQTT 5). */
  readonly windowMessages: number;
  readonly username?: string;
  readonly password?: string;
  readonly keepaliveSeconds?: number;
}

const connectMaxMs = 15_000;

/**
 * Real MQTT 3.1.1 and 5 with as little memory for a connection as can be: ten thousand of them fit
 * into one small process.
 */
export function mqttTransport(options: MqttOptions): Transport {
  const openStream = streamsTo(options.url, options);
  return {
    name: 'mqtt',
    acknowledges: options.qos > 0,
    open: (caller, events, now) => new MqttLink(options, caller, events, openStream, now),
  };
}

/** A class, for its methods are shared: with closures each connection would weigh twice as much. */
class MqttLink implements Link {
  wasConnected = false;
  private readonly options: MqttOptions;
  private readonly caller: Caller;
  private readonly events: LinkEvents;
  private readonly stream: ByteStream;
  private readonly packets: Parser;
  private readonly inFlight = new Map<number, Sent>();
  private room_: number;
  private lastId = 0;
  private ended = false;
  private isMute = false;
  private problem: Error | undefined;
  private openedAt: number;
  private spokeAt: number;
  private pingedAt: number | undefined;
  private readAt = 0;

  constructor(
    options: MqttOptions,
    caller: Caller,
    events: LinkEvents,
    openStream: ReturnType<typeof streamsTo>,
    now: number,
  ) {
    this.options = options;
    this.caller = caller;
    this.events = events;
    this.room_ = options.windowMessages;
    this.openedAt = now;
    this.spokeAt = now;
    this.packets = parser({ protocolVersion: options.protocol });
    this.packets.on('packet', (packet) => this.received(packet));
    this.packets.on('error', (error) => this.fail(error));
    this.stream = openStream({
      opened: () => this.say(connectPacket(options, caller)),
      data: (bytes) => {
        if (this.ended || this.isMute) return;
        this.packets.parse(Buffer.from(bytes));
        if (caller.reads !== undefined && this.wasConnected) this.stream.pause();
      },
      closed: (error) => {
        this.problem ??= error;
        this.finish();
      },
    });
  }

  get room(): number {
    return this.wasConnected && !this.ended ? this.room_ - this.inFlight.size : 0;
  }

  send(message: DeviceMessage, startedAt: number): void {
    const { topic, payload, retain = false } = message;
    const { qos } = this.options;
    const packet = { cmd: 'publish', topic, payload: bytesOf(payload), qos, retain, dup: false };
    if (qos === 0) {
      this.say(packet as MqttPacket);
      this.events.acknowledged(message, startedAt);
      return;
    }
    do this.lastId = (this.lastId % 65_535) + 1;
    while (this.inFlight.has(this.lastId));
    this.inFlight.set(this.lastId, { message, startedAt });
    this.say({ ...packet, messageId: this.lastId } as MqttPacket);
  }

  tend(now: number): void {
    if (this.ended || this.isMute) return;
    const { reads } = this.caller;
    if (reads !== undefined && now - this.readAt >= reads.everyMs) {
      this.readAt = now;
      this.stream.resume();
    }
    const keepaliveMs = 1_000 * (this.options.keepaliveSeconds ?? 60);
    if (!this.wasConnected) {
      if (now - this.openedAt > connectMaxMs) this.fail(new Error('The server does not answer.'));
    } else if (this.pingedAt !== undefined) {
      if (now - this.pingedAt > keepaliveMs) this.fail(new Error('The server answers no ping.'));
    } else if (now - this.spokeAt > keepaliveMs * 0.7) {
      this.spokeAt = now;
      this.pingedAt = now;
      this.say({ cmd: 'pingreq' });
    }
  }

  close(): void {
    if (this.ended) return;
    if (this.inFlight.size > 0 || !this.wasConnected) {
      this.destroy();
      return;
    }
    this.say({ cmd: 'disconnect' } as MqttPacket);
    this.stream.end();
  }

  destroy(): void {
    this.stream.destroy();
    this.finish();
  }

  abandon(): void {
    this.isMute = true;
    this.stream.pause();
    this.finish();
  }

  private say(packet: MqttPacket): void {
    if (!this.isMute)
      this.stream.write(generate(packet, { protocolVersion: this.options.protocol }));
  }

  private received(packet: MqttPacket): void {
    if (this.ended) return;
    const { cmd } = packet;
    if (cmd === 'connack') this.accepted(packet);
    else if (cmd === 'puback' || cmd === 'pubcomp') {
      this.settle(packet.messageId!, packet.reasonCode ?? 0);
    } else if (cmd === 'pubrec') {
      if ((packet.reasonCode ?? 0) >= 0x80) this.settle(packet.messageId!, packet.reasonCode!);
      else this.say({ cmd: 'pubrel', messageId: packet.messageId! } as MqttPacket);
    } else if (cmd === 'pubrel') {
      this.say({ cmd: 'pubcomp', messageId: packet.messageId! } as MqttPacket);
    } else if (cmd === 'publish') this.answer(packet);
    else if (cmd === 'pingresp') this.pingedAt = undefined;
    else if (cmd === 'disconnect') {
      this.fail(new Error(`The server hangs up: reason ${hex(packet.reasonCode)}.`));
    }
  }

  private accepted({ returnCode, reasonCode, properties }: IConnackPacket): void {
    const code = reasonCode ?? returnCode ?? 0;
    if (code !== 0) {
      this.fail(new Error(`The server refuses the connection: ${refusalOf(code)}.`));
      return;
    }
    this.room_ = Math.min(this.room_, properties?.receiveMaximum ?? this.room_);
    this.wasConnected = true;
    const { reads } = this.caller;
    if (reads !== undefined) {
      const subscriptions = [{ topic: reads.topic, qos: 1 as const }];
      this.say({ cmd: 'subscribe', messageId: 65_535, subscriptions } as MqttPacket);
    }
    this.events.connected();
  }

  private settle(id: number, reason: number): void {
    const sent = this.inFlight.get(id);
    if (sent === undefined) return;
    this.inFlight.delete(id);
    if (reason < 0x80) this.events.acknowledged(sent.message, sent.startedAt);
    else this.events.refused(sent.message, `The server refuses a message: reason ${hex(reason)}.`);
  }

  private answer({ qos, messageId }: IPublishPacket): void {
    if (qos === 0) return;
    this.say({ cmd: qos === 1 ? 'puback' : 'pubrec', messageId: messageId! } as MqttPacket);
  }

  private fail(error: Error): void {
    this.problem ??= error;
    this.destroy();
  }

  private finish(): void {
    if (this.ended) return;
    this.ended = true;
    const unsettled = [...this.inFlight.values()].map(({ message }) => message);
    this.inFlight.clear();
    this.events.closed(unsettled, this.problem);
  }
}

function connectPacket(options: MqttOptions, { clientId, will, password }: Caller): MqttPacket {
  const { protocol, username, keepaliveSeconds = 60 } = options;
  const secret = password ?? options.password;
  return {
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: protocol,
    clean: true,
    clientId,
    keepalive: keepaliveSeconds,
    ...(username === undefined && secret === undefined ? {} : { username: username ?? clientId }),
    ...(secret === undefined ? {} : { password: Buffer.from(secret) }),
    ...(will === undefined
      ? {}
      : { will: { topic: will.topic, payload: bytesOf(will.payload), qos: 1, retain: true } }),
  } as MqttPacket;
}

const refusals: Readonly<Record<number, string>> = {
  4: 'bad user name or password',
  5: 'not authorized',
  134: 'bad user name or password',
  135: 'not authorized',
  137: 'server busy',
  151: 'quota exceeded',
  159: 'connection rate exceeded',
};
const hex = (code: number | undefined): string => `0x${(code ?? 0).toString(16).padStart(2, '0')}`;
const refusalOf = (code: number): string => refusals[code] ?? hex(code);

/** The library takes no other bytes than a Buffer. */
function bytesOf(payload: Uint8Array): Buffer {
  return Buffer.isBuffer(payload)
    ? payload
    : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
}
