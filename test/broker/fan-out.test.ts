import type { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { type Packet, parser } from 'mqtt-packet';
import { afterEach, describe, expect, test } from 'vitest';
import { openRights } from '../../src/broker/access.ts';
import { defaultBounds } from '../../src/broker/bounds.ts';
import { Connection } from '../../src/broker/connection.ts';
import type { Journal, JournalRecord } from '../../src/broker/journal.ts';
import { Link } from '../../src/broker/link.ts';
import { Message } from '../../src/broker/message.ts';
import type { Session } from '../../src/broker/session.ts';
import { Sessions } from '../../src/broker/sessions.ts';
import { eventually } from '../services/child.ts';
import { payloads, subscribe } from './delivery-clients.ts';
import { connectRaw, openTestBroker, publishPacket, stopAll } from './harness.ts';

afterEach(stopAll);

/** Sessions in a world where every look at the clock takes half a millisecond. */
function openWorld(connections: number) {
  const resting: (() => void)[] = [];
  const records: JournalRecord[] = [];
  let time = 0;
  const sessions = new Sessions({
    ...{ bounds: defaultBounds, connections, queuedMessages: 1000 },
    now: () => {
      time += 0.5;
      return time;
    },
    rest: () => new Promise((resolve) => void resting.push(resolve)),
    lost: () => {},
    failed: (error) => expect.unreachable(String(error)),
  });
  const journal: Journal = {
    append: async (more) => {
      records.push(...more);
      return more.map(() => 0);
    },
    messages: async () => [],
  };
  sessions.restore({ sessions: [], groups: [], wills: [], retained: [] }, journal);
  /** Lets everything happen that can before the next rest ends. */
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  return {
    ...{ sessions, records, resting, turn },
    open(client: string): Session {
      const beginning = { cleanStart: false, expirySeconds: 3600, will: undefined };
      return sessions.begin(client, beginning).session;
    },
    subscribe(session: Session, filter: string, subscriptionId?: number): void {
      const options = {
        qos: 1,
        noLocal: false,
        retainAsPublished: false,
        retainHandling: 0,
      } as const;
      const request = { filter, ...options };
      sessions.router.add({ session, request, subscriptionId, sharedFilter: undefined });
    },
    route(from: string, topic: string, text: string, position = -1): Promise<void> | undefined {
      const content = { topic, payload: Buffer.from(text), qos: 1, retain: false, from } as const;
      return sessions.router.route(new Message(content, 0, position));
    },
    async finish(): Promise<void> {
      for (let idle = 0; idle < 2; idle++) {
        while (resting.length > 0) {
          for (const go of resting.splice(0)) go();
          await turn();
        }
        await turn();
      }
    },
  };
}

/** The packets that a session is sent from now on. */
function attach(session: Session): Packet[] {
  const packets: Packet[] = [];
  const reader = parser({ protocolVersion: 5 } as never);
  reader.on('packet', (packet) => packets.push(packet));
  const stream = new PassThrough();
  stream.on('data', (bytes) => reader.parse(bytes));
  const connection = new Connection(stream as unknown as Socket, defaultBounds, () => 0);
  connection.rights = openRights(undefined);
  const limits = { receiveMaximum: 100, maximumPacketSize: 2 ** 20, topicAliasMaximum: 0 };
  session.outbox.attach(new Link({ connection, version: 5, ...limits }));
  return packets;
}

const texts = (packets: readonly Packet[]) =>
  packets.flatMap((packet) => (packet.cmd === 'publish' ? [String(packet.payload)] : []));

describe('a message for 50,000 subscriptions', () => {
  function openCrowd(count = 50_000) {
    const world = openWorld(count);
    const crowd = Array.from({ length: count }, (_, index) => {
      const session = world.open(`crowd-${index}`);
      world.subscribe(session, 'crowd/#');
      return session;
    });
    const served = (messages: number) =>
      crowd.filter(({ outbox }) => outbox.queued >= messages).length;
    return { ...world, crowd, served };
  }

  test('is handed out in turns, and who publishes something else waits for none of them', async () => {
    const { sessions, subscribe: add, open, route, served, turn, finish, resting } = openCrowd();
    const other = open('other');
    add(other, 'other/#');
    const routed = route('loud', 'crowd/all', '1');
    await turn();
    // Four looks make a turn of 2 ms, one every 8 subscriptions.
    expect(served(1)).toBeLessThanOrEqual(64);
    expect(resting).toHaveLength(1);
    expect(route('honest', 'other/a', 'now')).toBeUndefined();
    expect(other.outbox.queued).toBe(1);
    // Of the loud one nothing may overtake.
    expect(route('loud', 'other/a', 'later')).toBeDefined();
    expect(other.outbox.queued).toBe(1);
    await finish();
    await routed;
    expect(served(1)).toBe(50_000);
    expect(other.outbox.queued).toBe(2);
    await sessions.router.idle();
  });

  test('reaches each in the order of its publisher, and of its topic', async () => {
    const { open, subscribe: add, route, turn, finish } = openCrowd(1000);
    const here = open('here');
    add(here, 'crowd/#');
    add(here, 'other/#');
    const packets = attach(here);
    route('loud', 'crowd/all', '1');
    route('loud', 'other/a', '2');
    route('loud', 'crowd/all', '3');
    route('second', 'crowd/all', '4');
    route('second', 'other/b', '5');
    route('third', 'other/c', 'overtakes');
    await turn();
    expect(texts(packets)).toEqual(['overtakes']);
    await finish();
    expect(texts(packets)).toEqual(['overtakes', '1', '2', '3', '4', '5']);
  });

  test('is not taken for acknowledged by who acknowledged what overtook it', async () => {
    const { open, subscribe: add, route, turn, finish, sessions, records } = openCrowd(1000);
    const here = open('here');
    add(here, 'crowd/#');
    add(here, 'other/#');
    const packets = attach(here);
    route('loud', 'crowd/all', 'broad', 10);
    route('honest', 'other/a', 'narrow', 11);
    await turn();
    const { messageId } = packets[0] as { messageId: number };
    here.outbox.acknowledge({ type: 'puback', id: messageId, reason: 0 });
    sessions.writeAcknowledged();
    const written = records.filter(({ kind }) => kind === 'acknowledged');
    expect(written).toEqual([{ kind: 'acknowledged', client: 'here', upTo: 9, beyond: [11] }]);
    await finish();
    expect(texts(packets)).toEqual(['narrow', 'broad']);
  });

  test('goes to those who had subscribed when it came and still do, each once', async () => {
    const { crowd, open, subscribe: add, route, turn, finish, sessions } = openCrowd(1000);
    const [gone, asksAgain, changed] = crowd.slice(-3) as [Session, Session, Session];
    add(changed, 'crowd/+');
    route('loud', 'crowd/all', '1');
    await turn();
    const late = open('late');
    add(late, 'crowd/#');
    sessions.router.remove(gone, 'crowd/#');
    add(asksAgain, 'crowd/#', 5);
    sessions.router.remove(changed, 'crowd/+');
    await finish();
    const got = (session: Session) => session.outbox.queued;
    expect([late, gone, asksAgain, changed].map(got)).toEqual([0, 0, 1, 1]);
  });

  test('is bounded: of one whose messages wait nothing more is taken, but of others', async () => {
    const { route, sessions, turn } = openCrowd(1000);
    for (let index = 0; index <= defaultBounds.clientMessages; index++) {
      expect(sessions.router.isBehind('loud')).toBe(index === defaultBounds.clientMessages);
      if (index < defaultBounds.clientMessages) route('loud', 'crowd/all', `${index}`);
    }
    await turn();
    expect(sessions.router.isBehind('honest')).toBe(false);
  });
});

test('one message that matches 50,000 subscriptions holds up nobody else, and comes in order', async () => {
  const { port } = await openTestBroker({ options: { limits: { messagesPerSecond: 0 } } });
  const topic = 'a/b/c/d/e/f/g/h/i/j';
  const filters = Array.from({ length: 1000 }, (_, bits) =>
    topic
      .split('/')
      .map((level, index) => ((bits >> index) & 1 ? '+' : level))
      .join('/'),
  );
  const crowd = await Promise.all(
    Array.from({ length: 50 }, async (_, index) => {
      const client = await connectRaw(port, 5, { id: `crowd-${index}` });
      await subscribe(
        client,
        filters.map((filter) => ({ topic: filter, qos: 1 as const })),
      );
      return client;
    }),
  );
  const loud = await connectRaw(port, 4, { id: 'loud' });
  const honest = await connectRaw(port, 4, { id: 'honest' });
  const sent = Array.from({ length: 20 }, (_, index) => `${index}`);
  loud.send(...sent.map((text, index) => publishPacket(topic, text, 1, index + 1)));
  await loud.next('puback');
  const has = (text: string) =>
    crowd.every(({ received }) =>
      received.some((packet) => packet.cmd === 'publish' && String(packet.payload) === text),
    );
  honest.send({ cmd: 'pingreq' });
  await honest.next('pingresp');
  expect(has('19')).toBe(false);
  await eventually(() => expect(has('19')).toBe(true), 20_000);
  for (const client of crowd) expect(await payloads(client)).toEqual(sent);
});
