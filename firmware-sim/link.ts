import mqtt, { type IClientOptions } from 'mqtt';
import type { DeviceMessage } from './device.ts';

export interface LinkOptions {
  readonly url: string;
  readonly clientId: string;
  readonly protocol: 4 | 5;
  readonly qos: 0 | 1 | 2;
  /** Messages that may await their acknowledgement; the server may ask for fewer (MQTT 5). */
  readonly windowMessages: number;
  /** Anything else MQTT.js should know: certificates, user name. */
  readonly client?: IClientOptions;
}

export interface LinkEvents {
  connected(): void;
  /** `startedAt` is what `send` was given. */
  acknowledged(message: DeviceMessage, startedAt: number): void;
  /** The server will not have it (MQTT 5 reason code 0x80 and up). */
  refused(message: DeviceMessage, reason: string): void;
  /** Once, however it ends. What was sent and not settled comes back, in the order of sending. */
  closed(unsettled: readonly DeviceMessage[], error: Error | undefined): void;
}

/** One connection of one device, until it breaks. Never reconnects by itself. */
export interface Link {
  /** Whether the server ever accepted it. */
  readonly wasConnected: boolean;
  /** Messages that may be sent now. */
  readonly room: number;
  send(message: DeviceMessage, startedAt: number): void;
  /** Says goodbye. */
  close(): void;
  /** Hangs up. */
  destroy(): void;
}

/** A place in the window. Kept and used again, so that a message costs no closure. */
interface Slot {
  message: DeviceMessage;
  startedAt: number;
  order: number;
  readonly settle: (error?: Error | null) => void;
}

export function openLink(options: LinkOptions, events: LinkEvents): Link {
  const { qos } = options;
  const publishing = { qos };
  const free: Slot[] = [];
  const inFlight = new Set<Slot>();
  let windowMessages = options.windowMessages;
  let wasConnected = false;
  let ended = false;
  let sendings = 0;
  let problem: Error | undefined;

  const client = mqtt.connect(options.url, {
    keepalive: 60,
    connectTimeout: 10_000,
    ...options.client,
    clientId: options.clientId,
    protocolVersion: options.protocol,
    clean: true,
    reconnectPeriod: 0,
    // With every packet it would clear a timer and set another.
    reschedulePings: false,
    queueQoSZero: false,
  });
  const finish = (): void => {
    if (ended) return;
    ended = true;
    client.end(true);
    const unsettled = [...inFlight].sort((a, b) => a.order - b.order);
    inFlight.clear();
    events.closed(
      unsettled.map((slot) => slot.message),
      problem,
    );
  };
  const createSlot = (message: DeviceMessage): Slot => {
    const slot: Slot = {
      message,
      startedAt: 0,
      order: 0,
      settle(error) {
        if (ended) return;
        // Without a reason code it is the connection that failed: `closed` brings the message back.
        if (error && !('code' in error && typeof error.code === 'number')) return;
        inFlight.delete(slot);
        free.push(slot);
        if (error) events.refused(slot.message, error.message);
        else events.acknowledged(slot.message, slot.startedAt);
      },
    };
    return slot;
  };
  client.on('connect', (connack) => {
    windowMessages = Math.min(windowMessages, connack.properties?.receiveMaximum ?? windowMessages);
    wasConnected = true;
    events.connected();
  });
  // A refused CONNACK does not close the connection by itself.
  client.on('error', (error) => {
    problem ??= error;
    finish();
  });
  client.on('close', finish);
  return {
    get wasConnected() {
      return wasConnected;
    },
    get room() {
      return wasConnected && !ended ? windowMessages - inFlight.size : 0;
    },
    send(message, startedAt) {
      const slot = free.pop() ?? createSlot(message);
      slot.message = message;
      slot.startedAt = startedAt;
      slot.order = sendings++;
      inFlight.add(slot);
      client.publish(message.topic, bytesOf(message.payload), publishing, slot.settle);
    },
    close() {
      // MQTT.js would wait for acknowledgements that may never come before it says goodbye.
      if (inFlight.size > 0) finish();
      else if (!ended) client.end(false);
    },
    destroy: finish,
  };
}

/** MQTT.js takes no other bytes than a Buffer. */
function bytesOf(payload: Uint8Array): Buffer {
  return Buffer.isBuffer(payload)
    ? payload
    : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
}
