import mqtt, { type MqttClient } from 'mqtt';

/** What a device has sent and what it was told; kept where no fault of the gateway reaches it. */
export interface Ledger {
  /** Sequence numbers of messages that were sent, … */
  readonly sent: Set<number>;
  /** … and of those, the acknowledged ones. */
  readonly acknowledged: Set<number>;
  next: number;
}

export const createLedger = (): Ledger => ({ sent: new Set(), acknowledged: new Set(), next: 1 });

/** What message `seq` says: the same whenever it is sent. */
export function payloadOf(seq: number, textBytes: number): Record<string, number | string> {
  const text = String.fromCharCode(97 + (seq % 26)).repeat(textBytes + (seq % 32));
  return { seq, value: ((seq * 7_919) % 100_000) / 100, text };
}

/**
 * One device that sends, at QoS 1, what was never acknowledged again and then new messages, as fast as
 * they are acknowledged.
 */
export interface Publisher {
  /** Resolves when the connection is gone, however that came. */
  readonly closed: Promise<void>;
  readonly connected: boolean;
  /** Messages that were sent, or will be sent again, and are not acknowledged. */
  readonly unsettled: number;
  /** Sends nothing new. */
  stop(): void;
  end(): Promise<void>;
}

export interface PublisherOptions {
  readonly port: number;
  readonly ledger: Ledger;
  readonly protocol: 4 | 5;
  readonly windowMessages: number;
  readonly textBytes: number;
  /** So many new messages at most. */
  readonly messagesMax?: number;
  /** `publisher` unless given. */
  readonly clientId?: string;
  /** In seconds; a client that is not answered for longer closes. None unless given. */
  readonly keepalive?: number;
  /** How long each place in the window rests between two messages. */
  readonly pauseMs?: number;
}

export async function openPublisher(options: PublisherOptions): Promise<Publisher> {
  const { ledger, windowMessages, textBytes } = options;
  const client = await connected(options);
  let inFlight = 0;
  let sending = true;
  const unsettled = [...ledger.sent].filter((seq) => !ledger.acknowledged.has(seq));
  const newMax = ledger.next + (options.messagesMax ?? Number.POSITIVE_INFINITY);

  const nextSeq = (): number | undefined => {
    const again = unsettled.shift();
    if (again !== undefined) return again;
    return sending && ledger.next < newMax ? ledger.next++ : undefined;
  };
  const sendMore = (): void => {
    while (inFlight < windowMessages && client.connected) {
      const seq = nextSeq();
      if (seq === undefined) break;
      ledger.sent.add(seq);
      inFlight++;
      const payload = JSON.stringify(payloadOf(seq, textBytes));
      client.publish(`sensors/d${seq % 7}/climate`, payload, { qos: 1 }, (error) => {
        if (!error) ledger.acknowledged.add(seq);
        if (options.pauseMs === undefined) next();
        else setTimeout(next, options.pauseMs);
      });
    }
  };
  const next = (): void => {
    inFlight--;
    sendMore();
  };
  const closed = new Promise<void>((resolve) => {
    client.once('close', () => resolve());
  });
  client.on('error', () => {});
  sendMore();
  return {
    closed,
    get connected() {
      return client.connected;
    },
    get unsettled() {
      return inFlight + unsettled.length;
    },
    stop() {
      sending = false;
    },
    async end() {
      sending = false;
      await client.endAsync(true);
    },
  };
}

async function connected(options: PublisherOptions): Promise<MqttClient> {
  const { port, protocol, clientId = 'publisher', keepalive = 0 } = options;
  return await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, {
    clientId,
    protocolVersion: protocol,
    reconnectPeriod: 0,
    keepalive,
    connectTimeout: 5_000,
  });
}

/** Skips with one line that says why; fails instead where everything is required. */
export function possible(what: string, reason: string | undefined): boolean {
  if (reason === undefined) return true;
  if (process.env.TIDEGATE_REQUIRE_SERVICES === '1') throw new Error(`${what}: ${reason}`);
  process.stderr.write(`${what} is left out: ${reason}.\n`);
  return false;
}
