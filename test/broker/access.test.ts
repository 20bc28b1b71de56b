import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { connect, connectAsync } from 'mqtt';
import { afterEach, expect, test } from 'vitest';
import { Attempts } from '../../src/broker/attempts.ts';
import { parsePasswords } from '../../src/broker/password-file.ts';
import { Verifier } from '../../src/broker/verifier.ts';
import { seededRandom } from '../../src/platform/random.ts';
import { createSystemClock } from '../../src/platform/system-clock.ts';
import { available, eventually } from '../services/child.ts';
import { authFiles, userLine } from './auth-files.ts';
import {
  connectPacket,
  connectRaw,
  openRawClient,
  openTestBroker,
  publishPacket,
  stopAll,
} from './harness.ts';

const run = promisify(execFile);
afterEach(stopAll);

const users = async (...names: string[]): Promise<string> =>
  (await Promise.all(names.map(async (name) => await userLine(name, `${name}'s word`)))).join('\n');

async function openWithUsers(acl?: string, more: object = {}) {
  const files = authFiles({ users: await users('anna', 'ben'), ...(acl ? { acl } : {}) });
  const auth = { passwordFile: 'users', ...(acl ? { aclFile: 'acl' } : {}), ...more };
  return await openTestBroker({ options: { auth }, authFiles: files });
}

/** The code that a CONNECT is answered with. */
async function answer(port: number, version: 3 | 4 | 5, login: object): Promise<number> {
  const client = await openRawClient(port, version);
  client.send({ ...connectPacket(version), ...login } as never);
  const { returnCode, reasonCode } = await client.next('connack');
  const code = (version === 5 ? reasonCode : returnCode)!;
  if (code !== 0) await client.gone();
  client.end();
  return code;
}

test('with a password file only its users get in, each with the right password', async () => {
  const { port, count } = await openWithUsers();
  const right = { username: 'anna', password: Buffer.from("anna's word") };
  const wrong = { ...right, password: Buffer.from("ben's word") };
  const stranger = { ...right, username: 'eve' };
  for (const version of [3, 4] as const) {
    expect(await answer(port, version, right)).toBe(0);
    for (const login of [wrong, stranger, {}, { username: 'anna' }]) {
      expect(await answer(port, version, login)).toBe(5);
    }
  }
  expect(await answer(port, 5, right)).toBe(0);
  expect(await answer(port, 5, wrong)).toBe(0x86);
  expect(await answer(port, 5, stranger)).toBe(0x86);
  expect(await answer(port, 5, {})).toBe(0x87);
  expect(await count('brokerRefused', 'anonymous')).toBe(3);
  expect(await count('brokerRefused', 'credentials')).toBe(8);
});

test('with anonymous: true who says no name gets in, and who says one must prove it', async () => {
  const { port } = await openWithUsers(undefined, { anonymous: true });
  expect(await answer(port, 4, {})).toBe(0);
  expect(await answer(port, 4, { username: 'anna', password: Buffer.from('x') })).toBe(5);
});

test('who guesses as a user must wait, and others of that address need not', async () => {
  const { port, count } = await openWithUsers();
  const guess = { username: 'anna', password: Buffer.from('guess') };
  const right = { username: 'anna', password: Buffer.from("anna's word") };
  for (let n = 0; n < 5; n++) expect(await answer(port, 4, guess)).toBe(5);
  expect(await answer(port, 4, right)).toBe(5);
  expect(await count('brokerRefused', 'attempts')).toBe(1);
  const ben = { username: 'ben', password: Buffer.from("ben's word") };
  expect(await answer(port, 4, ben)).toBe(0);
});

test('failures are forgotten with time, and at most so many names are remembered', () => {
  const attempts = new Attempts({ failures: 2, everyMs: 1000 }, 3);
  attempts.failed('a', 0);
  expect(attempts.may('a', 0)).toBe(true);
  attempts.failed('a', 0);
  expect(attempts.may('a', 999)).toBe(false);
  expect(attempts.may('a', 1000)).toBe(true);
  attempts.failed('a', 1000);
  expect(attempts.may('a', 1999)).toBe(false);
  for (let n = 0; n < 100; n++) attempts.failed(`name ${n}`, 2000);
  expect(attempts.size).toBe(3);
});

test('a thousand logins at once are verified beside everything else, in bounded memory', async () => {
  const { passwords } = parsePasswords(await userLine('anna', 'word', 500));
  const verifier = new Verifier({ clock: createSystemClock(), random: seededRandom(1) });
  const claim = (n: number) => ({
    ...{ address: `10.0.${n >> 8}.${n & 255}`, username: 'anna' },
    ...{ password: Buffer.from(n % 2 === 0 ? 'word' : `guess ${n}`), isGone: () => n % 10 === 5 },
  });
  let turns = 0;
  let over = false;
  const count = (): void => {
    turns += 1;
    if (!over) setImmediate(count);
  };
  count();
  const verdicts = Array.from({ length: 3000 }, (_, n) => verifier.verify(passwords, claim(n)));
  expect(verifier.sizes.waiting).toBe(2000);
  const found = await Promise.all(verdicts);
  over = true;
  // While the first was hashed, the loop went round.
  expect(turns).toBeGreaterThan(100);
  const tally = (verdict: string) => found.filter((each) => each === verdict).length;
  expect(tally('busy')).toBe(3000 - 2002);
  expect(tally('right')).toBe(1001);
  expect(tally('gone')).toBeGreaterThan(0);
  expect(found.every((each, n) => each !== 'right' || n % 2 === 0)).toBe(true);
  expect(verifier.sizes.waiting).toBe(0);
  expect(verifier.sizes.known).toBe(1);
  // Once right, known again at once; a wrong one is still wrong.
  expect(await verifier.verify(passwords, claim(0))).toBe('right');
  expect(await verifier.verify(passwords, claim(3))).toBe('credentials');
});

test('what is remembered of passwords that were right is bounded', async () => {
  const lines = await Promise.all(
    Array.from({ length: 2100 }, (_, n) => userLine(`user ${n}`, 'word', 1)),
  );
  const { passwords } = parsePasswords(lines.join('\n'));
  const verifier = new Verifier({ clock: createSystemClock(), random: seededRandom(1) });
  const claim = (n: number) => ({
    ...{ address: '', username: `user ${n}`, password: Buffer.from('word') },
    isGone: () => false,
  });
  for (let n = 0; n < 2100; n++) expect(await verifier.verify(passwords, claim(n))).toBe('right');
  expect(verifier.sizes.known).toBe(2000);
  expect(await verifier.verify(passwords, claim(0))).toBe('right');
});

test('a password that was right no longer is when the file holds another', async () => {
  const verifier = new Verifier({ clock: createSystemClock(), random: seededRandom(1) });
  const claim = {
    ...{ address: '', username: 'anna', password: Buffer.from('old') },
    isGone: () => false,
  };
  const before = parsePasswords(await userLine('anna', 'old')).passwords;
  const after = parsePasswords(await userLine('anna', 'new')).passwords;
  expect(await verifier.verify(before, claim)).toBe('right');
  expect(await verifier.verify(after, claim)).toBe('credentials');
});

test('an ACL decides what is taken and what is delivered, for both versions', async () => {
  const acl =
    'user anna\ntopic write in/#\ntopic read out/#\nuser ben\ntopic readwrite #\ntopic deny x/#';
  const broker = await openWithUsers(acl);
  for (const protocolVersion of [4, 5] as const) {
    broker.messages.length = 0;
    const login = (username: string) =>
      connectAsync(broker.url, { protocolVersion, username, password: `${username}'s word` });
    const anna = await login('anna');
    const ben = await login('ben');
    const got: string[] = [];
    anna.on('message', (topic) => got.push(topic));
    expect((await anna.subscribeAsync('#', { qos: 1 })).map(({ qos }) => qos)).toEqual([1]);
    const publish = async (client: typeof anna, topic: string) =>
      await client.publishAsync(topic, '1', { qos: 1 }).then(
        () => 0,
        (error: { code: number }) => error.code,
      );
    const denied = protocolVersion === 5 ? 0x87 : 0;
    expect(await publish(anna, 'in/a')).toBe(0);
    expect(await publish(anna, 'out/a')).toBe(denied);
    expect(await publish(ben, 'x/a')).toBe(denied);
    expect(await publish(ben, 'y/a')).toBe(0);
    expect(await publish(ben, 'out/b')).toBe(0);
    await eventually(() => expect(got).toEqual(['out/b']));
    expect(broker.messages.map(({ topic }) => topic)).toEqual(['in/a', 'y/a', 'out/b']);
    await Promise.all([anna.endAsync(), ben.endAsync()]);
  }
});

test('a retained message goes to nobody who may not read it', async () => {
  const acl = 'user anna\ntopic read open/#\nuser ben\ntopic readwrite #';
  const broker = await openWithUsers(acl);
  const login = (username: string) =>
    connectAsync(broker.url, { username, password: `${username}'s word` });
  const ben = await login('ben');
  await ben.publishAsync('secret/a', 's', { qos: 1, retain: true });
  await ben.publishAsync('open/a', 'o', { qos: 1, retain: true });
  const anna = await login('anna');
  const got: string[] = [];
  anna.on('message', (topic) => got.push(topic));
  await anna.subscribeAsync('#');
  await eventually(() => expect(got).toEqual(['open/a']));
  await anna.endAsync();
  await ben.endAsync();
});

test('what comes while a client is away is filtered as well, and by who it is when it returns', async () => {
  const acl = 'user anna\ntopic read out/#\nuser ben\ntopic readwrite #\n';
  const broker = await openWithUsers(acl);
  const enter = async (username: string, clientId: string) => {
    const got: string[] = [];
    const client = connect(broker.url, {
      ...{ username, password: `${username}'s word`, clientId, clean: false },
      reconnectPeriod: 0,
    });
    // Before anything can come.
    client.on('message', (topic) => got.push(topic));
    await new Promise((resolve) => client.once('connect', resolve));
    return { client, got };
  };
  const sender = await enter('ben', 'sender');
  const publish = async (...topics: string[]) => {
    for (const topic of topics) await sender.client.publishAsync(topic, '1', { qos: 1 });
  };
  const first = await enter('anna', 'traveller');
  await first.client.subscribeAsync('#', { qos: 1 });
  await first.client.endAsync();
  await publish('secret', 'out/1');
  const second = await enter('anna', 'traveller');
  await publish('out/2');
  await eventually(() => expect(second.got).toEqual(['out/1', 'out/2']));
  await second.client.endAsync();
  // The session of ben now, who may read all; then taken up by anna, who may not.
  const other = await enter('ben', 'traveller');
  await other.client.endAsync();
  await publish('secret', 'out/3');
  const third = await enter('anna', 'traveller');
  await publish('out/4');
  await eventually(() => expect(third.got).toEqual(['out/3', 'out/4']));
  await Promise.all([third.client.endAsync(), sender.client.endAsync()]);
});

test('a listener has its own users, limits and largest packet', async () => {
  const files = authFiles({ users: await users('anna') });
  const broker = await openTestBroker({
    options: {
      listeners: [
        { port: 0 },
        {
          port: 0,
          auth: { passwordFile: 'users' },
          limits: { connections: 2, packetBytes: 200 },
        },
      ],
    },
    authFiles: files,
  });
  const [common, own] = broker.source.addresses.map(({ port }) => port) as [number, number];
  expect(await answer(common, 4, {})).toBe(0);
  expect(await answer(own, 4, {})).toBe(5);
  const login = { username: 'anna', password: Buffer.from("anna's word") };
  const enter = async (id: string) => {
    const client = await openRawClient(own);
    client.send({ ...connectPacket(4, { id }), ...login } as never);
    expect((await client.next('connack')).returnCode).toBe(0);
    return client;
  };
  const first = await enter('one');
  await enter('two');
  const third = await openRawClient(own);
  await third.gone();
  expect(await broker.count('brokerRefused', 'connections')).toBe(1);
  const elsewhere = await connectRaw(common, 4, { id: 'three' });
  for (const client of [first, elsewhere]) client.send(publishPacket('a', 'x'.repeat(300), 1));
  await first.gone();
  await elsewhere.next('puback');
  expect(await broker.count('brokerRefused', 'too_large')).toBe(1);
});

test('a configuration whose files were not read opens nothing', async () => {
  await expect(openTestBroker({ options: { auth: { passwordFile: 'users' } } })).rejects.toThrow(
    'have not been read',
  );
});

const isInstalled = available('mosquitto_passwd');
const note = isInstalled ? '' : ' (mosquitto_passwd is not installed)';
test.skipIf(!isInstalled)(
  `passwords of mosquitto_passwd are taken: $6$ and $7$${note}`,
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tidegate-passwords-'));
    try {
      const file = join(folder, 'users');
      await run('mosquitto_passwd', ['-b', '-c', file, 'anna', 'pärole $x:y']);
      await run('mosquitto_passwd', ['-H', 'sha512', '-b', file, 'old', 'passé']);
      const text = readFileSync(file, 'utf8');
      expect(text).toMatch(/^anna:\$7\$/m);
      expect(text).toMatch(/^old:\$6\$/m);
      const broker = await openTestBroker({
        options: { auth: { passwordFile: 'users' } },
        authFiles: authFiles({ users: text }),
      });
      const pub = async (username: string, password: string, version: string) =>
        await run('mosquitto_pub', [
          ...['-p', `${broker.port}`, '-V', version, '-u', username, '-P', password],
          ...['-q', '1', '-t', `from/${username}/${version}`, '-m', '1'],
        ]);
      for (const version of ['mqttv311', '5']) {
        await pub('anna', 'pärole $x:y', version);
        await pub('old', 'passé', version);
        await expect(pub('old', 'pass', version)).rejects.toThrow(/not authorised|user name/i);
      }
      expect(broker.messages.map(({ topic }) => topic)).toEqual([
        ...['from/anna/mqttv311', 'from/old/mqttv311', 'from/anna/5', 'from/old/5'],
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);

test('every mistake in a password file is named with its line, its column and a remedy', async () => {
  const good = await userLine('anna', 'x');
  const { passwords, problems } = parsePasswords(
    [
      ...['# users', good, '', 'no colon', ':$7$1$YQ==$YQ==', 'ben:plain', `anna:${good.slice(5)}`],
      ...['carl:$7$10$YQ==$YQ==', 'dora:$argon2id$v=19$m=1$YQ$YQ', 'eve:$7$0$YQ==$YQ=='],
      `fred:$7$0$${good.split('$').slice(3).join('$')}`,
    ].join('\n'),
  );
  expect([...passwords.keys()]).toEqual(['anna']);
  const again = 'Set the password anew: tidegate passwd FILE USER.';
  expect(problems).toEqual([
    { line: 4, column: 1, message: 'a colon is missing. A line is: name:hash.' },
    { line: 5, column: 1, message: 'a user name is missing before the colon.' },
    { line: 6, column: 5, message: `the password is not hashed. ${again}` },
    { line: 7, column: 1, message: 'the user "anna" stands in line 2, too. Remove one.' },
    { line: 8, column: 6, message: `the hash is not 64 bytes long. ${again}` },
    {
      ...{ line: 9, column: 6 },
      message: `hashes of kind $argon2id$ cannot be read; $6$, $7$ and $scram-sha-256$ can. ${again}`,
    },
    { line: 10, column: 5, message: `the hash is not 64 bytes long. ${again}` },
    {
      ...{ line: 11, column: 6 },
      message: `the iterations must be from 1 to 10000000. ${again}`,
    },
  ]);
});
