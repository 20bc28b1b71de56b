import { Durable, type Recorded } from '../../src/broker/durable.ts';
import { sessionData } from '../../src/broker/durable-records.ts';
import type { JournalRecord, MessageRecord, SessionRecord } from '../../src/broker/journal.ts';
import type { FilterRequest } from '../../src/broker/packets.ts';
import type { ClockQuality } from '../../src/platform/clock.ts';

export const bounds = { retainedMessages: 5, retainedBytes: 1_000, inflightMessages: 8 };
export const parts = { bounds, queuedMessages: 4 };
export const noon = Date.UTC(2026, 10, 21, 12);

/** Hands records to a fold as the log would, each a second after the one before. */
export class Life {
  position = 0;
  clock = { now: noon, monotonic: 1_000, boot: 'first', quality: 'synchronised' as ClockQuality };
  readonly durable: Durable;

  constructor(durable = new Durable(parts)) {
    this.durable = durable;
  }

  record(...records: JournalRecord[]): number {
    for (const record of records) this.durable.step(this.entry(record));
    return this.position;
  }

  entry(record: JournalRecord): Recorded {
    this.pass(1_000);
    this.position += 1;
    const { now, monotonic, boot, quality } = this.clock;
    const { kind, ...rest } = record;
    const common = {
      ...{ position: this.position, id: `${this.position}`, source: '/gateways/gw/broker' },
      ...{ time: now, recordedTime: now, monotonic, boot, clock: quality },
    };
    if (kind !== 'message') {
      const data = sessionData(record as SessionRecord);
      const subject = (record as SessionRecord).client;
      // By way of JSON, as everything in the log but a payload.
      return { ...common, type: 'session', subject, data: JSON.parse(JSON.stringify(data)) };
    }
    const { topic, ...data } = rest as MessageRecord;
    return { ...common, type: 'message', subject: topic, data };
  }

  pass(ms: number): void {
    this.clock.now += ms;
    this.clock.monotonic += ms;
  }

  /** A restart of the machine, `offMs` later. */
  reboot(offMs: number, quality: ClockQuality = 'synchronised'): void {
    const now = quality === 'synchronised' ? this.clock.now + offMs : 5_000;
    this.clock = { now, monotonic: 0, boot: `${this.clock.boot}'`, quality };
  }

  get state() {
    const { now, monotonic, boot, quality } = this.clock;
    return this.durable.stateAt({
      ...{ boot, now: () => now, monotonic: () => monotonic, quality: () => quality },
      sleep: async () => {},
    });
  }

  session(client: string) {
    return this.state.sessions.find((session) => session.client === client);
  }
}

export const request = (filter: string, more: Partial<FilterRequest> = {}): FilterRequest => ({
  ...{ filter, qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 },
  ...more,
});
export const subscribed = (client: string, ...filters: string[]): SessionRecord => ({
  ...{ kind: 'subscribed', client },
  requests: filters.map((filter) => request(filter)),
});
export const began = (client: string): SessionRecord => ({
  kind: 'began',
  client,
  expirySeconds: 60,
});
export const left = (client: string, sentUpTo = 0): SessionRecord => ({
  ...{ kind: 'left', client, expirySeconds: 60, sentUpTo },
});
export const message = (topic: string, more: Partial<MessageRecord> = {}): MessageRecord => ({
  ...{ kind: 'message', topic, payload: Buffer.from('21.5'), qos: 1, retain: false, from: 'pub' },
  ...more,
});
export const acknowledged = (client: string, upTo: number, ...beyond: number[]): SessionRecord => ({
  ...{ kind: 'acknowledged', client, upTo, beyond },
});
