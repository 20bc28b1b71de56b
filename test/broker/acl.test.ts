import { connectAsync, type MqttClient } from 'mqtt';
import { afterEach, expect, test } from 'vitest';
import { type AclRights, createAccess, type Rights } from '../../src/broker/access.ts';
import { type Acl, allows, parseAcl, rulesFor } from '../../src/broker/acl.ts';
import { Verifier } from '../../src/broker/verifier.ts';
import { seededRandom } from '../../src/platform/random.ts';
import { createSystemClock } from '../../src/platform/system-clock.ts';
import { available, eventually } from '../services/child.ts';
import { type Mosquitto, startMosquitto } from '../services/mosquitto.ts';

const aclOf = (text: string): Acl => {
  const { acl, problems } = parseAcl(text);
  expect(problems).toEqual([]);
  return acl;
};

async function rightsOf(text: string, client: string, username?: string): Promise<Rights> {
  const verifier = new Verifier({ clock: createSystemClock(), random: seededRandom(1) });
  const access = createAccess({ anonymous: true, acl: aclOf(text) }, verifier);
  const candidate = { client, username, password: undefined, address: '', isGone: () => false };
  return (await access.mayConnect(candidate)) as Rights;
}

test('an ACL file is read as Mosquitto reads it', async () => {
  const text = [
    '# for everybody without a name',
    'topic read public/#',
    '',
    'user anna',
    'topic readwrite a/#   ',
    'topic deny a/secret',
    'topic write two words',
    'user ben\r',
    'topic b/+',
    'pattern read for/%u/%c',
    'user anna',
    'topic read late',
  ].join('\n');
  const anna = await rightsOf(text, 'c1', 'anna');
  expect(anna.mayPublish('a/x')).toBe(true);
  expect(anna.mayPublish('a/secret')).toBe(false);
  expect(anna.mayRead('a/secret')).toBe(false);
  expect([anna.mayPublish('two words'), anna.mayRead('two words')]).toEqual([true, false]);
  expect([anna.mayRead('late'), anna.mayPublish('late')]).toEqual([true, false]);
  expect([anna.mayRead('for/anna/c1'), anna.mayRead('for/anna/c2')]).toEqual([true, false]);
  expect([anna.mayRead('public/x'), anna.mayRead('b/x')]).toEqual([false, false]);
  const ben = await rightsOf(text, 'c', 'ben');
  expect([ben.mayRead('b/x'), ben.mayPublish('b/x'), ben.mayPublish('b/x/y')]).toEqual([
    ...[true, true, false],
  ]);
  const nobody = await rightsOf(text, 'c');
  expect([nobody.mayRead('public/x'), nobody.mayPublish('public/x')]).toEqual([true, false]);
  expect(nobody.mayRead('for//c')).toBe(false);
});

test('every mistake in an ACL file is named with its line, its column and a remedy', () => {
  const { problems } = parseAcl(
    ['topik read a', 'topic', 'topic raed a/b', 'topic read a/#/b', '  user', 'topic a+'].join(
      '\n',
    ),
  );
  expect(problems).toEqual([
    {
      ...{ line: 1, column: 1 },
      message: '"topik" is not known. Write user, topic, pattern or a comment.',
    },
    {
      ...{ line: 2, column: 6 },
      message: 'a topic is missing. Write for instance: topic read sensors/#.',
    },
    {
      ...{ line: 3, column: 7 },
      message: '"raed" is not an access. Write read, write, readwrite or deny before the topic.',
    },
    {
      ...{ line: 4, column: 12 },
      message: '# must be the last level, alone. Write for instance sensors/#.',
    },
    { line: 5, column: 3, message: 'a user without a name. Write: user NAME.' },
    {
      ...{ line: 6, column: 7 },
      message: '+ must be a whole level. Write for instance sensors/+/temperature.',
    },
  ]);
});

test('a name with a wildcard in it stands for nothing in a pattern', () => {
  const acl = aclOf('pattern readwrite of/%u/#\npattern readwrite own/%c\ntopic read free');
  for (const [client, username] of [
    ['c', '+'],
    ['#', 'u'],
  ] as const) {
    const rules = rulesFor(acl, client, username);
    expect(allows(rules, 'read', 'of/anybody/x'), username).toBe(false);
  }
  expect(allows(rulesFor(acl, 'c', 'u'), 'read', 'of/u/x')).toBe(true);
});

test('reserved topics stay reserved, but for commands that a rule for just them allows', async () => {
  const text = [
    ...['user all', 'topic readwrite #', 'topic readwrite tidegate/#', 'topic readwrite $SYS/#'],
    ...['user operator', 'topic write #', 'topic write tidegate/commands/#'],
    ...['user careful', 'topic write tidegate/commands/+/set', 'topic deny tidegate/commands/x/#'],
  ].join('\n');
  const all = await rightsOf(text, 'c', 'all');
  for (const topic of ['tidegate/status', 'tidegate/commands/gh-07/set', '$SYS/broker/uptime']) {
    expect(all.mayPublish(topic), topic).toBe(false);
    expect(all.mayRead(topic), topic).toBe(true);
  }
  const operator = await rightsOf(text, 'c', 'operator');
  expect(operator.mayPublish('tidegate/commands/gh-07/set')).toBe(true);
  expect(operator.mayPublish('tidegate/status')).toBe(false);
  expect(operator.mayRead('$SYS/broker/uptime')).toBe(false);
  const careful = await rightsOf(text, 'c', 'careful');
  expect(careful.mayPublish('tidegate/commands/a/set')).toBe(true);
  expect(careful.mayPublish('tidegate/commands/x/set')).toBe(false);
});

test('what is remembered of a client is bounded, and stays right', async () => {
  const rights = await rightsOf('topic readwrite a/+', 'c');
  for (let round = 0; round < 2; round++) {
    for (let n = 0; n < 1000; n++) {
      expect(rights.mayPublish(`a/${n}`)).toBe(true);
      expect(rights.mayPublish(`b/${n}`)).toBe(false);
      expect(rights.mayRead(`a/${n}`)).toBe(true);
      expect((rights as AclRights).remembered).toBeLessThanOrEqual(128);
    }
  }
});

const open: { stop(): Promise<void> }[] = [];
const clients: MqttClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) await client.endAsync(true);
  for (const { stop } of open.splice(0)) await stop();
});

const isInstalled = available('mosquitto');
test.skipIf(!isInstalled)(
  `the same file grants what it grants in Mosquitto${isInstalled ? '' : ' (not installed)'}`,
  { timeout: 60_000 },
  async () => {
    const seed = Number(process.env.TIDEGATE_SEED ?? 20_261_121);
    const random = seededRandom(seed);
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random.next() * from.length)]!;
    const levels = ['a', 'b', 'anna', 'c1', 'two words', ''];
    const filter = (more: readonly string[]): string => {
      const parts = Array.from({ length: 1 + Math.floor(random.next() * 3) }, () =>
        pick([...levels.slice(0, 5), '+', ...more]),
      );
      return [...parts, ...(random.next() < 0.3 ? ['#'] : [])].join('/');
    };
    const kinds = ['read ', 'write ', 'readwrite ', 'deny ', 'read ', 'write '];
    const rule = () => `topic ${pick(kinds)}${filter([])}`;
    const lines: string[] = [rule(), rule(), rule()];
    for (const user of ['anna', 'ben', 'c+d', 'anna']) lines.push(`user ${user}`, rule(), rule());
    lines.push('user ben', 'topic read #', 'topic deny a/+/b', 'user anna', 'topic write a/#');
    for (let n = 0; n < 4; n++) lines.push(`pattern ${pick(kinds)}${filter(['%u', '%c', 'x%u'])}`);
    lines.push('user admin', 'topic readwrite #');
    const topics = [...new Set(Array.from({ length: 60 }, () => filter([])))]
      .map((each) => each.replaceAll('+', 'x').replaceAll('#', 'y'))
      .concat('a', 'a/b', 'a/x/b', 'anna/c1', 'xanna');
    const acl = aclOf(lines.join('\n'));

    const mosquitto: Mosquitto = await startMosquitto({ acl: lines });
    open.push(mosquitto);
    const join = async (clientId: string, username?: string) => {
      const client = await connectAsync(mosquitto.url, {
        ...{ protocolVersion: 5, clientId, reconnectPeriod: 0 },
        ...(username === undefined ? {} : { username }),
      });
      clients.push(client);
      return client;
    };
    const admin = await join('admin', 'admin');
    for (const [id, username] of [
      ['c1', 'anna'],
      ['c2', 'ben'],
      ['c1b', undefined],
      ['c3', 'c+d'],
      ['c+4', 'anna'],
      ['c5', 'stranger'],
    ] as const) {
      const client = await join(id, username);
      const read = new Set<string>();
      client.on('message', (topic) => read.add(topic));
      await client.subscribeAsync('#', { qos: 1 });
      const written: boolean[] = [];
      for (const topic of topics) {
        const refused = await client.publishAsync(topic, '1', { qos: 1 }).then(
          () => false,
          (error: { code?: number }) => error.code === 0x87,
        );
        written.push(!refused);
      }
      read.clear();
      for (const topic of topics) await admin.publishAsync(topic, '2', { qos: 1 });
      // Answered in order, so all that was to come has come.
      await client.subscribeAsync('done', { qos: 1 });
      const rules = rulesFor(acl, id, username);
      const words = `seed ${seed}, ${id} ${username}\n${lines.join('\n')}`;
      const ours = topics.map((topic) => [topic, allows(rules, 'write', topic)]);
      expect(ours, words).toEqual(topics.map((topic, index) => [topic, written[index]]));
      const mayRead = topics.filter((topic) => allows(rules, 'read', topic));
      await eventually(() => expect([...read].sort(), words).toEqual([...new Set(mayRead)].sort()));
      await client.endAsync();
    }
  },
);
