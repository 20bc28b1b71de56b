import { expect, test } from 'vitest';
import type { Entry } from '../../src/log/log.ts';
import { seededRandom } from '../../src/platform/random.ts';
import type { Message } from '../../src/source/source.ts';
import { IngestWorld } from './ingest-world.ts';

const json = [{ topic: 'site/{device}', codec: { kind: 'json' } }];

/** A message that a session wants, too. */
function wanted(world: IngestWorld, topic: string, text: string, more: Partial<Message> = {}) {
  const payload = Buffer.from(text);
  const record = { topic, payload, qos: 1 as const, retain: false, from: 'pub' };
  return world.message(topic, payload, { record, ...more });
}

const messagesOf = (entries: readonly Entry[]) =>
  entries.flatMap((entry) => (entry.type === 'message' ? [entry] : []));

test('a message that a session wants is recorded with what is read of it, and where it stands is told', async () => {
  const world = await IngestWorld.open(json);
  const positions = await world.ingest([
    world.message('site/a', '{"t":1}'),
    wanted(world, 'site/b', '{"t":2}'),
    wanted(world, 'site/c', 'no json'),
    wanted(world, 'elsewhere', '{"t":3}'),
    wanted(world, 'site/d', ''),
    wanted(world, 'site/e', '{"t":4}', { recordOnly: true }),
  ]);
  const entries = await world.recorded();
  expect(entries.map(({ type, subject }) => `${type} ${subject}`)).toEqual([
    'reading a',
    ...['message site/b', 'reading b', 'message site/c', 'undecodable c'],
    ...['message elsewhere', 'message site/d', 'message site/e'],
  ]);
  const messages = messagesOf(entries);
  expect(positions).toEqual(messages.map(({ position }) => position));
  expect(messages.map(({ data }) => String(data.payload))).toEqual([
    ...['{"t":2}', 'no json', '{"t":3}', '', '{"t":4}'],
  ]);
  expect(messages[0]!.data).toMatchObject({ qos: 1, retain: false, from: 'pub' });
});

test('what no session wants costs no record, and nothing is told of positions', async () => {
  const world = await IngestWorld.open(json);
  expect(await world.ingest([world.message('site/a', '{"t":1}')])).toBeUndefined();
  expect((await world.recorded()).map(({ type }) => type)).toEqual(['reading']);
});

test('what a record is made from may be overwritten at once', async () => {
  const world = await IngestWorld.open(json);
  const message = wanted(world, 'site/a', '{"t":1}');
  const done = world.ingest([message]);
  (message.payload as Buffer).fill(0);
  await done;
  expect(String(messagesOf(await world.recorded())[0]!.data.payload)).toBe('{"t":1}');
});

test('after a power cut a message is there with all that was read of it, or not at all', async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const world = await IngestWorld.open([
      { topic: 'site/{device}', codec: { kind: 'json' }, ...{} },
    ]);
    const random = seededRandom(seed);
    const cutAt = 1 + Math.floor(random.next() * 12);
    let operations = 0;
    let cut!: () => void;
    const isCut = new Promise<void>((resolve) => {
      cut = resolve;
    });
    world.disk.before = () => {
      if (++operations === cutAt) cut();
    };
    const texts = Array.from({ length: 40 }, (_, index) => `{"n":${index},"m":${index}}`);
    const acknowledged: number[] = [];
    const sending = (async () => {
      for (let from = 0; from < texts.length; from += 4) {
        const batch = texts.slice(from, from + 4).map((text) => wanted(world, 'site/a', text));
        const positions = (await world.ingest(batch)) as readonly number[];
        acknowledged.push(...positions);
      }
    })();
    await Promise.race([isCut, sending]);
    await world.cut(seed);
    const entries = await world.recorded();
    const kinds = entries.map(({ type }) => type).filter((type) => type !== 'gap');
    expect(kinds, `seed ${seed}`).toEqual(
      kinds.map((_, index) => (index % 2 === 0 ? 'message' : 'reading')),
    );
    const there = new Set<number>(messagesOf(entries).map(({ position }) => position));
    expect(
      acknowledged.filter((position) => !there.has(position)),
      `seed ${seed}`,
    ).toEqual([]);
  }
});

test('a batch of any size is parted between messages, never within one', async () => {
  const world = await IngestWorld.open(json);
  const batch = Array.from({ length: 700 }, (_, index) => {
    const text = `{"t":${index}}`;
    return index % 3 === 0
      ? wanted(world, `site/d${index}`, text)
      : world.message(`site/d${index}`, text);
  });
  const together: string[][] = [];
  const { append } = world.log;
  Object.assign(world.log, {
    append: (drafts: Parameters<typeof append>[0]) => {
      together.push(drafts.map(({ subject }) => subject.replace('site/', '')));
      return append(drafts);
    },
  });
  const positions = await world.ingest(batch);
  expect(positions).toEqual(messagesOf(await world.recorded()).map(({ position }) => position));
  expect(together.length).toBeGreaterThan(1);
  const subjects = together.map((each) => new Set(each));
  const parted = [...subjects[0]!].filter((subject) =>
    subjects.slice(1).some((each) => each.has(subject)),
  );
  expect(parted).toEqual([]);
});

test('a message too large for the log is told as position 0, and the others have theirs', async () => {
  const world = await IngestWorld.open(json);
  const positions = await world.ingest([
    wanted(world, 'site/a', '{"t":1}'),
    wanted(world, 'site/b', 'x'.repeat(1_200_000)),
    wanted(world, 'site/c', '{"t":3}'),
  ]);
  const entries = await world.recorded();
  const [a, c] = messagesOf(entries).map(({ position }) => position);
  expect(positions).toEqual([a, 0, c]);
  expect(entries.filter(({ type }) => type === 'undecodable')).toHaveLength(1);
});

test('a topic of any length comes back', async () => {
  const world = await IngestWorld.open(json);
  const topic = `long/${'x'.repeat(60_000)}`;
  await world.ingest([wanted(world, topic, '1')]);
  const [message] = messagesOf(await world.recorded());
  expect(message!.data.topic).toBe(topic);
  expect(message!.subject).toBe('');
});
