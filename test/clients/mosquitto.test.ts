import { type ChildProcess, spawn } from 'node:child_process';
import { expect } from 'vitest';
import { available, eventually } from '../services/child.ts';
import { type Scenario, succeed, testClient } from './scenarios.ts';

type Line = readonly [topic: string, payload: string, qos: number, retain: number];

interface Subscriber {
  readonly child: ChildProcess;
  /** The lines that it printed so far. */
  readonly lines: readonly Line[];
  expect(...lines: readonly Line[]): Promise<void>;
  end(signal?: NodeJS.Signals): Promise<void>;
}

interface Stage {
  readonly name: string;
  readonly five: boolean;
  pub(topic: string, payload: string, ...more: readonly string[]): Promise<unknown>;
  /** Runs mosquitto_sub and waits until it is subscribed. */
  sub(...args: readonly string[]): Promise<Subscriber>;
  /** Subscribes, and is gone. */
  run(...args: readonly string[]): Promise<string>;
}

const format = '{"topic":"%t","payload":"%x","qos":%q,"retain":%r}';

function lineOf(text: string): Line {
  const { topic, payload, qos, retain } = JSON.parse(text);
  return [topic, Buffer.from(payload, 'hex').toString(), qos, retain];
}

async function subscriber(args: readonly string[]): Promise<Subscriber> {
  // Its output is held back in a pipe otherwise.
  const child = spawn('stdbuf', ['-oL', 'mosquitto_sub', '-d', '-F', format, ...args]);
  let said = '';
  child.stdout.on('data', (chunk) => {
    said += chunk;
  });
  child.stderr.on('data', (chunk) => {
    said += chunk;
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const texts = () =>
    said
      .split('\n')
      .slice(0, -1)
      .filter((line) => line.startsWith('{'));
  await eventually(() => expect(said).toMatch(/^Subscribed \(mid/m));
  return {
    child,
    get lines() {
      return texts().map(lineOf);
    },
    async expect(...lines) {
      await eventually(() => expect(texts().length).toBeGreaterThanOrEqual(lines.length));
      expect(texts().map(lineOf)).toEqual(lines);
    },
    async end(signal = 'SIGTERM') {
      child.kill(signal);
      await ended;
    },
  };
}

const lasting = (five: boolean): string[] => (five ? ['-c', '-x', '300'] : ['-c']);

const acts: Record<Scenario, (stage: Stage) => Promise<void>> = {
  async connect({ name, five, run }) {
    for (const more of [[], lasting(five)]) {
      await run('-i', `${name}-${more.length}`, ...more, '-t', name, '-E');
    }
  },
  async qos({ name, pub, sub }) {
    const watcher = await sub('-t', `${name}/+`, '-q', '2');
    const lines: Line[] = [];
    for (const qos of [0, 1, 2, 2, 1, 0]) {
      await pub(`${name}/${qos}`, `${lines.length}`, '-q', `${qos}`);
      lines.push([`${name}/${qos}`, `${lines.length}`, qos, 0]);
      await watcher.expect(...lines);
    }
    await watcher.end();
  },
  async retained({ name, pub, sub }) {
    await pub(name, 'stays', '-q', '1', '-r');
    const watcher = await sub('-t', name, '-q', '1');
    await watcher.expect([name, 'stays', 1, 1]);
    await watcher.end();
    await pub(name, '', '-q', '1', '-r');
    const late = await sub('-t', name, '-q', '1');
    await pub(name, 'live', '-q', '1');
    await late.expect([name, 'live', 1, 0]);
    await late.end();
  },
  async will({ name, sub }) {
    const watcher = await sub('-t', name, '-q', '1');
    const will = [
      '-t',
      `${name}/other`,
      '--will-topic',
      name,
      '--will-payload',
      'gone',
      '--will-qos',
      '1',
    ];
    await (await sub(...will)).end('SIGKILL');
    await watcher.expect([name, 'gone', 1, 0]);
    await watcher.end();
  },
  async session({ name, five, pub, sub, run }) {
    const kept = ['-i', `${name}-kept`, ...lasting(five), '-t', name, '-q', '2'];
    await run(...kept, '-E');
    await pub(name, 'missed 1', '-q', '1');
    await pub(name, 'missed 2', '-q', '2');
    const again = await sub(...kept);
    await again.expect([name, 'missed 1', 1, 0], [name, 'missed 2', 2, 0]);
    await again.end();
  },
  async large({ name, pub, sub }) {
    const watcher = await sub('-t', name, '-q', '2');
    const payload = 'large '.repeat(20_000);
    const lines: Line[] = [];
    for (const qos of [0, 1, 2]) {
      await pub(name, payload, '-q', `${qos}`);
      lines.push([name, payload, qos, 0]);
      await watcher.expect(...lines);
    }
    await watcher.end();
  },
  async wildcard({ name, pub, sub }) {
    const watcher = await sub('-t', `${name}/+/c/#`, '-q', '1');
    for (const topic of ['/a/c', '/a/b', '/a/c/d/e', '/a/b/c', '//c', '/b/c/']) {
      await pub(name + topic, topic, '-q', '1');
    }
    const matching = ['/a/c', '/a/c/d/e', '//c', '/b/c/'];
    await watcher.expect(...matching.map((topic) => [name + topic, topic, 1, 0] as const));
    await watcher.end();
  },
  async unicode({ name, pub, sub }) {
    const watcher = await sub('-t', `${name}/#`, '-q', '1');
    const topics = ['Gewächshaus/№ 1', '温室/温度', 'дом', '🌡️/é'].map((each) => `${name}/${each}`);
    for (const topic of topics) await pub(topic, topic, '-q', '1');
    await watcher.expect(...topics.map((topic) => [topic, topic, 1, 0] as const));
    await watcher.end();
  },
  async shared({ name, pub, sub }) {
    const filter = ['-t', `$share/mosquitto/${name}`, '-q', '1'];
    const members = [await sub(...filter), await sub(...filter)];
    for (let number = 0; number < 10; number++) await pub(name, `${number}`, '-q', '1');
    const payloads = () =>
      members.flatMap(({ lines }) => lines.map(([, payload]) => payload)).sort();
    await eventually(() => expect(payloads().length).toBeGreaterThanOrEqual(10));
    expect(payloads()).toEqual(Array.from({ length: 10 }, (_, number) => `${number}`));
    for (const member of members) {
      expect(member.lines.length).toBeGreaterThan(0);
      await member.end();
    }
  },
};

testClient({
  name: 'mosquitto_pub and mosquitto_sub',
  isInstalled: available('mosquitto_pub') && available('mosquitto_sub'),
  async run(port, version, scenario) {
    const five = version === '5';
    const to = ['-h', '127.0.0.1', '-p', `${port}`, ...(five ? ['-V', '5'] : [])];
    const started: Subscriber[] = [];
    try {
      await acts[scenario]({
        ...{ name: `mosquitto-${version}-${scenario}`, five },
        pub: async (topic, payload, ...more) =>
          await succeed('mosquitto_pub', [...to, '-t', topic, '-m', payload, ...more]),
        async sub(...args) {
          started.push(await subscriber([...to, ...args]));
          return started.at(-1)!;
        },
        run: async (...args) => await succeed('mosquitto_sub', [...to, ...args]),
      });
    } finally {
      for (const { child } of started) child.kill('SIGKILL');
    }
  },
});
