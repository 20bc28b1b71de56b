import { expect, test } from 'vitest';
import { watch } from '../log/opened.ts';
import { IngestWorld } from './ingest-world.ts';

const sensors = { topic: 'sensors/{device}/{measurement}', tags: { site: 'north' } };

test('a message becomes one reading, with its device, source, time and tags', async () => {
  const world = await IngestWorld.open([sensors]);
  await world.ingest([world.message('sensors/gh-07/climate', '{"temperature":31.2}')]);
  expect(await world.recorded()).toMatchObject([
    {
      type: 'reading',
      source: '/gateways/gw/broker',
      subject: 'gh-07',
      time: world.clock.now(),
      data: { measurement: 'climate', tags: { site: 'north' }, fields: { temperature: 31.2 } },
    },
  ]);
  expect(await world.count('tidegate_messages_received_total')).toBe(1);
  expect(await world.count('tidegate_messages_received_bytes_total')).toBe(20);
});

test('nothing is acknowledged before it is durable', async () => {
  const world = await IngestWorld.open([sensors]);
  world.hold();
  const good = watch(world.ingest([world.message('sensors/a/x', '1')]));
  const bad = watch(world.ingest([world.message('sensors/a/x', '{')]));
  await world.clock.settle();
  expect([good.settled, bad.settled]).toEqual([false, false]);
  world.letGo();
  await world.clock.settle();
  expect([good.settled, bad.settled]).toEqual([true, true]);
});

test('messages are recorded in the order in which they came', async () => {
  const world = await IngestWorld.open([sensors]);
  const all = Array.from({ length: 2_000 }, (_, n) => world.message(`sensors/d${n % 3}/n`, `${n}`));
  const done = [all.slice(0, 1_700), all.slice(1_700)].map((part) => world.ingest(part));
  await Promise.all(done);
  const values = (await world.recorded()).map((entry) =>
    entry.type === 'reading' ? entry.data.fields.value : undefined,
  );
  expect(values).toEqual(all.map((_, n) => n));
});

test('bytes that make no sense are acknowledged and kept as they came, with the reason', async () => {
  const world = await IngestWorld.open([sensors]);
  await world.ingest([
    world.message('sensors/gh-07/climate', '{"temperature": 2'),
    world.message('sensors/gh-08/climate', Buffer.from([0xff, 0x00, 0x10])),
    world.message('sensors/gh-09/climate', '{"temperature": 20}'),
  ]);
  expect(await world.recorded()).toMatchObject([
    {
      type: 'undecodable',
      subject: 'gh-07',
      data: {
        topic: 'sensors/gh-07/climate',
        codec: 'auto',
        reason: 'Not JSON: expected a comma or } at character 18, found the end.',
        encoding: 'utf8',
        payload: '{"temperature": 2',
      },
    },
    {
      type: 'undecodable',
      subject: 'gh-08',
      data: { encoding: 'base64', payload: '/wAQ', reason: expect.stringContaining('byte 1') },
    },
    { type: 'reading', subject: 'gh-09' },
  ]);
});

test('of an array, what is good is recorded and what is not is told', async () => {
  const world = await IngestWorld.open([sensors]);
  await world.ingest([world.message('sensors/a/x', '[{"t":1},{},{"t":3}]')]);
  expect(await world.recorded()).toMatchObject([
    { type: 'reading', data: { fields: { t: 1 } } },
    { type: 'reading', data: { fields: { t: 3 } } },
    { type: 'undecodable', data: { reason: expect.stringMatching(/^Reading 2 of 3: /) } },
  ]);
});

test('a message that is too large is kept in part, and says so', async () => {
  const world = await IngestWorld.open([sensors]);
  const large = `"${'ä'.repeat(150_000)}"`;
  await world.ingest([world.message('sensors/a/x', large)]);
  const [entry] = await world.recorded();
  expect(entry).toMatchObject({ type: 'undecodable', subject: 'a' });
  const { reason, payload } = (entry as { data: { reason: string; payload: string } }).data;
  expect(reason).toBe(
    'The message has 300002 bytes; 262144 are read. The first 65535 of 300002 bytes are kept.',
  );
  expect(large.startsWith(payload)).toBe(true);
});

test('no message keeps others from being acknowledged, however much it swells', async () => {
  const world = await IngestWorld.open([sensors]);
  // Each element has 200 names of 250 characters that no other has: 6 MB for 200 kB.
  const element = (n: number): object => ({
    [`${n}-${'x'.repeat(240)}`]: Object.fromEntries(Array.from({ length: 200 }, (_, i) => [i, 1])),
  });
  const swelling = JSON.stringify(Array.from({ length: 120 }, (_, n) => element(n)));
  await world.ingest([
    world.message('sensors/a/x', swelling),
    ...Array.from({ length: 30 }, () => world.message('sensors/b/x', Buffer.alloc(65_536, 0xff))),
    world.message('sensors/c/x', '1'),
  ]);
  const recorded = await world.recorded();
  const of = (device: string) => recorded.filter((entry) => entry.subject === device).length;
  expect([of('a'), of('b'), of('c')]).toEqual([120, 30, 1]);
});

test('a topic that no mapping wants is counted and named once, and not recorded', async () => {
  const world = await IngestWorld.open([sensors]);
  for (let round = 0; round < 3; round++) {
    await world.ingest([
      world.message('other', '1'),
      world.message('another', '1'),
      world.message('tidegate/alerts/hot/gh-07', '{}'),
      world.message('$SYS/broker/uptime', '1'),
    ]);
  }
  expect(await world.recorded()).toEqual([]);
  expect(await world.count('tidegate_messages_unmatched_total')).toBe(12);
  expect(world.logger.messages('warn')).toHaveLength(4);
  const many = Array.from({ length: 3_000 }, (_, n) => world.message(`x/${n}/y/z`, '1'));
  await world.ingest(many);
  expect(world.logger.lines).toHaveLength(100);
});

test('a message without a payload is no reading and no error', async () => {
  const world = await IngestWorld.open([sensors]);
  await world.ingest([world.message('sensors/a/x', '')]);
  expect(await world.recorded()).toEqual([]);
  expect(await world.count('tidegate_messages_empty_total')).toBe(1);
});

test('a time that cannot be is counted, unless the gateway may be the one that is wrong', async () => {
  const world = await IngestWorld.open([{ ...sensors, time: { path: 'ts' } }]);
  const ahead = world.clock.now() + 30 * 86_400_000;
  const send = () => world.ingest([world.message('sensors/a/x', `{"t":1,"ts":${ahead}}`)]);
  await send();
  expect(await world.count('tidegate_device_times_refused_total')).toBe(1);
  world.clock.clockQuality = 'unsynchronised';
  await send();
  expect(await world.count('tidegate_device_times_refused_total')).toBe(1);
  world.clock.clockQuality = 'unknown';
  world.clock.jump(-40 * 365 * 86_400_000);
  await send();
  expect(await world.count('tidegate_device_times_refused_total')).toBe(1);
  expect(await world.recorded()).toMatchObject([
    { time: ahead - 30 * 86_400_000, data: { fields: { t: 1, ts: ahead } } },
    { time: ahead, data: { fields: { t: 1 } } },
    { time: ahead, data: { fields: { t: 1 } } },
  ]);
});
