/** Encryption at rest: what is on the disk says nothing, and keys can be changed. */
import { expect, test } from 'vitest';
import { readCursors } from '../../src/log/cursor-store.ts';
import { openLogInspector } from '../../src/log/inspect.ts';
import { createKeyring, type Keyring, keyBytesOf, noKeys } from '../../src/log/keyring.ts';
import { openEventLog } from '../../src/log/segment-log.ts';
import type { GatewayError } from '../../src/platform/errors.ts';
import { silentLogger } from '../../src/platform/logger.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { seededRandom } from '../../src/platform/random.ts';
import { SimClock } from '../sim/clock.ts';
import { SimDisk } from '../sim/disk.ts';
import { World } from '../sim/life.ts';
import { expectPromisesKept } from '../sim/promises.ts';
import { numberOf, openLog, positionOf, readAll, readingOf, readingsOf } from './opened.ts';

const keyA = Buffer.alloc(32, 0xa1);
const keyB = Buffer.alloc(32, 0xb2);
const underA = createKeyring(keyA);
const underB = createKeyring(keyB);
const options = { segmentBytes: 700 };

const openUnder = (disk: SimDisk, keys: Keyring, clock?: SimClock) =>
  openLog(disk, options, clock, keys);

const codeOf = async (opening: Promise<unknown>): Promise<string | undefined> =>
  await opening.then(
    () => undefined,
    (error: GatewayError) => error.code,
  );

async function numbersOf(disk: SimDisk, keys: Keyring): Promise<number[]> {
  const numbers: number[] = [];
  for await (const some of (await openLogInspector(disk, keys)).entries()) {
    numbers.push(...some.map(numberOf));
  }
  return numbers;
}

const numbers = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** Every file as it is. */
const contentsOf = (disk: SimDisk): Map<string, string> =>
  new Map(disk.paths().map((path) => [path, Buffer.from(disk.bytesOf(path)).toString('latin1')]));

/** `count` appends of one reading each, behind what is there. */
async function write(from: SimDisk, keys: Keyring, first: number, count: number, clock?: SimClock) {
  const disk = from.restart();
  const opened = await openUnder(disk, keys, clock);
  for (let i = 0; i < count; i++) await opened.log.append([readingOf(first + i)]);
  const cursor = opened.cursors.open('sink/readings', () => positionOf(0));
  cursor.begin();
  cursor.commit(positionOf(first), () => ({ device: 'device-in-state', 'field-in-state': first }));
  await opened.cursors.close();
  await opened.log.close();
  return { disk: disk.restart(), clock: opened.clock };
}

test('nothing of a payload can be found in the data folder, nor of what readers remember', async () => {
  const words = ['device-', 'climate', 'celsius', 'north', 'gateways', 'in-state', 'sink/readings'];
  const { disk: plain } = await write(new SimDisk(), noKeys, 1, 40);
  const all = [...contentsOf(plain).values()].join('');
  for (const word of words) expect(all, `${word} in plain`).toContain(word);
  const { disk: sealed } = await write(new SimDisk(), underA, 1, 40);
  for (const [path, text] of contentsOf(sealed)) {
    for (const word of words) {
      expect(text, `${word} in ${path}`).not.toContain(word);
      expect(text, `${word} in ${path}`).not.toContain(
        Buffer.from(word).toString('base64').slice(0, 4),
      );
    }
  }
  expect(await numbersOf(sealed, underA)).toEqual(numbers(1, 40));
  const [line] = await readCursors(sealed, silentLogger, underA);
  expect(line).toEqual({
    name: 'sink/readings',
    position: 1,
    state: { device: 'device-in-state', 'field-in-state': 1 },
  });
});

test('the whole gateway leaves no name and no value of a device on the disk', async () => {
  const world = new World(11);
  world.keys = underA;
  await world.start();
  for (let i = 0; i < 30; i++) {
    world.send(`secret-device-${i % 3}`, JSON.stringify({ temperature: 27 + (i % 8), seq: i }));
    world.send('secret-device-9', 'not even JSON: secret-garbage');
    await world.clock.advance(4_000);
  }
  await world.heal();
  await world.stop();
  expect(world.disk.paths()).toContain('cursors');
  for (const [path, text] of contentsOf(world.disk)) {
    expect(text, path).not.toMatch(/secret|temperature|climate|firing|alerts/);
  }
});

test('a replay under way leaves no name of a device on the disk, and is resumed by its name', async () => {
  const world = new World(12);
  world.keys = underA;
  await world.start();
  for (let i = 0; i < 5; i++) {
    world.send('secret-device', JSON.stringify({ temperature: 27, seq: i }));
    await world.clock.advance(1_000);
  }
  await world.heal();
  const request = { sink: 'one', from: 0, device: 'secret-*', rate: 1 };
  void world.gateway!.replay(request, new AbortController().signal, () => {}).catch(() => {});
  await world.clock.advance(1_100);
  expect(world.disk.paths()).toContain('replays');
  world.kill();
  for (const [path, text] of contentsOf(world.disk)) expect(text, path).not.toContain('secret');
  await world.start();
  await world.clock.advance(10_000);
  const replayed = world.sinks[0]!.taken.filter(
    ({ extensions }) => extensions?.replayed === 'true',
  );
  expect(new Set(replayed.map(({ subject }) => subject))).toEqual(new Set(['secret-device']));
  expect(new Set(replayed.map(({ id }) => id)).size).toBe(5);
  expect(world.disk.paths()).not.toContain('replays');
  await world.stop();
});

test('old keys read what they have written; a log changes keys, and to plain and back', async () => {
  const lives: [Keyring, number][] = [
    [noKeys, 1],
    [underA, 11],
    [createKeyring(keyB, [keyA]), 21],
    [createKeyring(undefined, [keyA, keyB]), 31],
    [createKeyring(keyA, [keyB]), 41],
  ];
  let disk = new SimDisk();
  let clock: SimClock | undefined;
  for (const [keys, first] of lives) ({ disk, clock } = await write(disk, keys, first, 10, clock));
  const both = createKeyring(undefined, [keyB, keyA]);
  expect(await numbersOf(disk, both)).toEqual(numbers(1, 50));
  const opened = await openLog(disk, options, clock, both);
  expect((await readAll(opened.log)).map(numberOf)).toEqual(numbers(1, 50));
  expect(opened.logger.lines).toEqual([]);
  for await (const problem of (await openLogInspector(disk, both)).verify()) {
    expect.fail(JSON.stringify(problem));
  }
});

test('the cursors are under the new key as soon as they are saved, whatever moved', async () => {
  const { disk, clock } = await write(new SimDisk(), underA, 1, 3);
  const opened = await openLog(disk, options, clock, createKeyring(keyB, [keyA]));
  // Not even opened by anybody.
  await opened.cursors.save();
  const lines = await readCursors(disk, silentLogger, underB);
  expect(lines.map(({ name }) => name)).toEqual(['sink/readings']);
});

test.each([
  ['another key', underB],
  ['no key', noKeys],
])('with %s a log is refused and nothing is touched', async (_, keys) => {
  const { disk, clock } = await write(new SimDisk(), underA, 1, 20);
  const before = contentsOf(disk);
  expect(await codeOf(openUnder(disk, keys, clock))).toBe('GW_CONFIG_KEY_MISSING');
  // Also when the cursors do not give it away, and when the first header is damaged.
  await disk.remove('cursors');
  expect(await codeOf(openUnder(disk, keys, clock))).toBe('GW_CONFIG_KEY_MISSING');
  for (const path of disk.paths()) disk.bytesOf(path)[3]! ^= 1;
  expect(await codeOf(openUnder(disk, keys, clock))).toBe('GW_CONFIG_KEY_MISSING');
  expect(await codeOf(openLogInspector(disk, keys).then((log) => log.stat()))).toBe(
    'GW_CONFIG_KEY_MISSING',
  );
  for (const path of disk.paths()) disk.bytesOf(path)[3]! ^= 1;
  const after = contentsOf(disk);
  before.delete('cursors');
  expect(after).toEqual(before);
  const world = new World(1);
  world.disk = disk;
  world.keys = keys;
  expect(await codeOf(world.start())).toBe('GW_CONFIG_KEY_MISSING');
  expect(contentsOf(disk)).toEqual(before);
  expect(await numbersOf(disk, underA)).toEqual(numbers(1, 20));
});

test('the message names the key that is wanted and those that are there, never a key', async () => {
  const { disk } = await write(new SimDisk(), underA, 1, 1);
  const error = await openLog(disk, options, undefined, underB).catch((each) => each);
  const id = (ring: Keyring): string => ring.current!.id.toString(16).padStart(8, '0');
  expect(error.message).toContain(
    `encrypted with the key ${id(underA)} (configured: ${id(underB)})`,
  );
  expect(error.message).toContain('log.encryption.previous');
  expect(error.message).not.toContain(keyA.toString('hex').slice(0, 8));
});

test('a flipped byte costs its group only, and no flipped byte is taken for an event', async () => {
  const disk = new SimDisk();
  const opened = await openLog(disk, {}, undefined, underA);
  for (let i = 0; i < 4; i++) await opened.log.append(readingsOf(i * 10 + 1, 10));
  await opened.log.close();
  const [path] = disk.paths();
  const whole = Buffer.from(disk.bytesOf(path!));
  for (let at = 32; at < whole.length; at++) {
    const damaged = new SimDisk();
    const bytes = Buffer.from(whole);
    bytes[at]! ^= 0x40;
    damaged.put(path!, bytes);
    const found = await numbersOf(damaged, underA);
    expect(found.length, `byte ${at}`).toBe(30);
    expect(numbers(1, 40)).toEqual(expect.arrayContaining(found));
  }
});

test('what was changed with a right checksum is not taken for what was written', async () => {
  const { crc32 } = await import('node:zlib');
  const disk = new SimDisk();
  const opened = await openLog(disk, {}, undefined, underA);
  await opened.log.append(readingsOf(1, 10));
  await opened.log.append(readingsOf(11, 10));
  await opened.log.close();
  const [path] = disk.paths();
  const whole = Buffer.from(disk.bytesOf(path!));
  const length = whole.readUInt32LE(32);
  let taken = 0;
  for (let at = 40; at < 40 + length; at++) {
    const forged = new SimDisk();
    const bytes = Buffer.from(whole);
    bytes[at]! ^= 0x40;
    bytes.writeUInt32LE(crc32(bytes.subarray(40, 40 + length)), 36);
    forged.put(path!, bytes);
    const found = await numbersOf(forged, underA).catch((error: GatewayError) => error.code);
    // The id of the key, and the flag that says there is one, can only be taken at their word.
    if (found === 'GW_CONFIG_KEY_MISSING') continue;
    expect(found, `byte ${at}`).toEqual(numbers(11, 20));
    taken++;
  }
  expect(taken).toBeGreaterThan(length - 8);
});

test('a group that is written again after a power cut is sealed anew', async () => {
  const seen = new Map<string, string>();
  for (let life = 1; life <= 30; life++) {
    const disk = new SimDisk();
    const parts = { disk, clock: new SimClock(), logger: silentLogger, metrics: createMetrics() };
    const log = await openEventLog(
      { ...parts, random: seededRandom(life), keys: underA, readers: () => [] },
      { maxBytes: 2 ** 30, whenFull: 'dropOldest', commitDelayMs: 0 },
    );
    await log.append([readingOf(1)]);
    const bytes = Buffer.from(disk.bytesOf(disk.paths()[0]!));
    const nonce = bytes.toString('hex', 32 + 44, 32 + 56);
    expect(seen.has(nonce)).toBe(false);
    seen.set(nonce, bytes.toString('hex', 32 + 56));
  }
  expect(new Set(seen.values()).size).toBe(30);
});

test('the promises hold through power cuts under encryption, with keys that change', async () => {
  for (let seed = 1; seed <= 15; seed++) {
    const world = new World(seed);
    const random = seededRandom(seed);
    const rings = [underA, createKeyring(keyB, [keyA]), createKeyring(undefined, [keyA, keyB])];
    world.keys = underA;
    await world.start();
    for (let i = 0; i < 60; i++) {
      const temperature = 24 + Math.floor(random.next() * 10);
      world.send(`gh-${i % 3}`, JSON.stringify({ temperature, seq: i }), i);
      await world.clock.advance(Math.floor(random.next() * 300));
      if (i % 15 !== 14) continue;
      world.cut();
      world.keys = i < 30 ? createKeyring(keyA, [keyB]) : rings[(seed + i) % 3]!;
      if (world.keys === underA) world.keys = createKeyring(keyA, [keyB]);
      await world.start();
    }
    await world.heal();
    for (const sent of world.sent) if (!sent.acknowledged) world.offer(sent);
    await world.heal();
    await expectPromisesKept(world);
    await world.stop();
  }
});

test('a key is 32 bytes in hexadecimal or base64; of any other text nothing is repeated', () => {
  expect(Buffer.from(keyBytesOf(`${keyA.toString('hex')}\n`, 'k'))).toEqual(keyA);
  expect(Buffer.from(keyBytesOf(keyB.toString('base64'), 'k'))).toEqual(keyB);
  expect(Buffer.from(keyBytesOf(keyB.toString('base64url'), 'k'))).toEqual(keyB);
  for (const text of [
    '',
    'correct horse',
    keyA.toString('hex').slice(1),
    `${keyA.toString('hex')}0`,
  ]) {
    const wrong = (): unknown => keyBytesOf(text, 'log.encryption.key');
    expect(wrong).toThrow(/log\.encryption\.key has \d+ characters.*openssl rand -hex 32/);
    if (text !== '') expect(wrong).not.toThrow(text);
  }
});
