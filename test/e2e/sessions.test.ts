/**
 * The real gateway is killed again and again while clients publish, and others that are to miss
 * nothing come and go.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { seededRandom } from '../../src/platform/random.ts';
import { connectKept, publish, subscribe } from '../broker/delivery-clients.ts';
import { publishPacket, stopAll } from '../broker/harness.ts';
import {
  LastingPublisher,
  LastingSubscriber,
  missingOf,
  orderProblems,
  type Problems,
} from '../broker/lasting.ts';
import { createGatewayProcess } from '../chaos/gateway.ts';
import { eventually, temporaryFolder } from '../services/child.ts';

const kills = Number(process.env.TIDEGATE_KILLS ?? 10);
const seed = Number(process.env.TIDEGATE_SEED ?? Math.floor(Math.random() * 2 ** 31));

const settings = `ingest: [{ topic: 't/{device}', codec: text }]
sinks: { screen: { kind: file, path: out, from: oldest } }
`;

afterEach(stopAll);

test(`subscribers miss nothing and get nothing twice at QoS 2 over ${kills} kills (TIDEGATE_SEED=${seed})`, async () => {
  const random = seededRandom(seed);
  const folder = await temporaryFolder('sessions');
  const gateway = await createGatewayProcess({ folder, dataDir: join(folder, 'data'), settings });
  const place = () => gateway.port;
  const problems: Problems = [];
  const publishers = ([1, 2] as const).flatMap((qos) =>
    ([4, 5] as const).map(
      (version) =>
        new LastingPublisher({ id: `pub${qos}${version}`, qos, version, place }, problems),
    ),
  );
  const sentTimes = (text: string) =>
    publishers.reduce((sum, { times }) => sum + (times.get(text) ?? 0), 0);
  const subscribers = ([1, 2] as const).flatMap((qos) =>
    ([4, 5] as const).map((version) => {
      const options = { id: `sub${qos}${version}`, qos, version, place, filter: 't/#' };
      return new LastingSubscriber(options, sentTimes, problems);
    }),
  );
  const clients = [...publishers, ...subscribers];
  let isOver = false;
  try {
    await gateway.start();
    for (const subscriber of subscribers) await subscriber.visit();
    await eventually(() => expect(subscribers.every((each) => each.isSubscribed)).toBe(true));
    const running = publishers.map((publisher) => publisher.run());
    const living = (async () => {
      while (!isOver) {
        for (const publisher of publishers) {
          publisher.publish(`t/${Math.floor(random.next() * 3)}`);
          if (random.next() < 0.002) publisher.drop(random.next() < 0.5);
        }
        for (const subscriber of subscribers) {
          if (!subscriber.isThere) {
            if (random.next() < 0.05) void subscriber.visit();
          } else if (random.next() < 0.01) subscriber.drop(random.next() < 0.5);
        }
        await sleep(2);
      }
    })();
    for (let kill = 1; kill <= kills; kill++) {
      const before = publishers.map(({ acknowledged }) => acknowledged.length);
      await eventually(() => {
        const more = publishers.map(({ acknowledged }, i) => acknowledged.length - before[i]!);
        expect(Math.min(...more)).toBeGreaterThan(5);
      }, 30_000);
      await sleep(random.next() * 300);
      await gateway.kill();
      await gateway.start();
    }
    isOver = true;
    await living;
    const staying = subscribers.map((subscriber) => subscriber.stay());
    await eventually(() => {
      expect(publishers.flatMap(({ waiting }) => waiting)).toEqual([]);
      const missing = subscribers.flatMap((subscriber) =>
        publishers.flatMap((publisher) => missingOf(subscriber, publisher, 0)),
      );
      expect(missing.slice(0, 5)).toEqual([]);
    }, 30_000);
    expect([...problems, ...subscribers.flatMap(orderProblems)].slice(0, 5)).toEqual([]);

    for (const client of clients) client.end();
    await Promise.all([...running, ...staying]);
    expect(await gateway.stop()).toBe(0);
    // What the broker wrote down for itself is in nobody's way.
    const { code, stdout } = await gateway.command('log', 'export');
    expect(code).toBe(0);
    expect(stdout).not.toMatch(/io\.tidegate\.(message|session)\.v1/);
    const asked = await gateway.command('log', 'export', '--type', 'message,session');
    expect(asked.stdout).toContain('"type":"io.tidegate.message.v1"');
    expect(asked.stdout).toContain('"type":"io.tidegate.session.v1"');
    const audit = await gateway.command('audit', '--config', join(folder, 'tidegate.yaml'));
    expect(audit.code, audit.stdout + audit.stderr).toBe(0);
    const repeats = subscribers.reduce((sum, each) => sum + each.repeats, 0);
    const acknowledged = publishers.reduce((sum, each) => sum + each.acknowledged.length, 0);
    process.stderr.write(
      `${kills} kills, ${acknowledged} messages acknowledged, ${repeats} repeats, none missing\n`,
    );
  } finally {
    isOver = true;
    for (const client of clients) client.end();
    await gateway.kill();
    await rm(folder, { recursive: true, force: true });
  }
}, 240_000);

test('retained messages that a new subscription brings are sent again after a kill, and not once acknowledged', async () => {
  const folder = await temporaryFolder('retained');
  const gateway = await createGatewayProcess({ folder, dataDir: join(folder, 'data'), settings });
  try {
    await gateway.start();
    const publisher = await connectKept(gateway.port, 'publisher');
    for (let id = 1; id <= 5; id++) {
      publisher.send(publishPacket(`k/${id}`, `${id}`, 1, id, { retain: true }));
      await publisher.next('puback');
    }
    const first = await connectKept(gateway.port, 'lasting');
    await subscribe(first, 'k/#', 1);
    const sent = [];
    while (sent.length < 5) sent.push(await first.next('publish'));
    await gateway.kill();
    await gateway.start();

    const second = await connectKept(gateway.port, 'lasting');
    for (const { messageId, topic } of sent) {
      const again = await second.next('publish');
      expect(again).toMatchObject({ messageId, topic, qos: 1, retain: true, dup: true });
      second.send({ cmd: 'puback', messageId } as never);
    }
    second.send({ cmd: 'disconnect' } as never);
    await second.gone();
    // When this is safe, so is what came before.
    await publish(await connectKept(gateway.port, 'publisher'), 't/a', 'x');
    await gateway.kill();
    await gateway.start();
    const third = await connectKept(gateway.port, 'lasting');
    third.send({ cmd: 'pingreq' });
    await third.next('pingresp');
    expect(third.received.filter(({ cmd }) => cmd === 'publish')).toEqual([]);
  } finally {
    await gateway.kill();
    await rm(folder, { recursive: true, force: true });
  }
}, 60_000);
