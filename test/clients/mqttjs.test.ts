import { once } from 'node:events';
import { connect, type IClientOptions, type IConnackPacket, type MqttClient } from 'mqtt';
import { expect } from 'vitest';
import { eventually } from '../services/child.ts';
import { type Scenario, testClient } from './scenarios.ts';

type QoS = 0 | 1 | 2;
type Got = readonly [topic: string, payload: string, qos: QoS, retain: boolean];

class Client {
  readonly mqtt: MqttClient;
  readonly got: Got[] = [];
  readonly isPresent: Promise<boolean>;

  constructor(mqtt: MqttClient) {
    this.mqtt = mqtt;
    this.isPresent = once(mqtt as never, 'connect').then(
      ([connack]) => (connack as IConnackPacket).sessionPresent,
    );
    mqtt.on('message', (topic, payload, { qos, retain }) => {
      this.got.push([topic, String(payload), qos, retain]);
    });
  }

  async subscribe(filter: string, qos: QoS): Promise<void> {
    expect(await this.mqtt.subscribeAsync(filter, { qos })).toMatchObject([{ qos }]);
  }

  async publish(topic: string, payload: string, qos: QoS = 1, retain = false): Promise<void> {
    await this.mqtt.publishAsync(topic, payload, { qos, retain });
  }

  /** Waits for these messages; no others may come before them. */
  async expect(...messages: readonly Got[]): Promise<void> {
    await eventually(() => expect(this.got.length).toBeGreaterThanOrEqual(messages.length));
    expect(this.got.splice(0)).toEqual(messages);
  }
}

interface Stage {
  /** In front of every topic. */
  readonly name: string;
  open(role: string, options?: IClientOptions): Promise<Client>;
}

const acts: Record<Scenario, (stage: Stage) => Promise<void>> = {
  async connect({ open }) {
    for (const clean of [true, false]) {
      expect(await (await open(`clean ${clean}`, { clean })).isPresent).toBe(false);
    }
  },
  async qos({ name, open }) {
    const [sub, pub] = [await open('sub'), await open('pub')];
    await sub.subscribe(`${name}/+`, 2);
    const sent: Got[] = [];
    for (let number = 0; number < 60; number++) {
      const qos = (number % 3) as QoS;
      await pub.publish(`${name}/${qos}`, `${number}`, qos);
      sent.push([`${name}/${qos}`, `${number}`, qos, false]);
    }
    await eventually(() => expect(sub.got).toHaveLength(60));
    for (const level of [0, 1, 2]) {
      const at = (list: readonly Got[]) => list.filter(([, , qos]) => qos === level);
      expect(at(sub.got)).toEqual(at(sent));
    }
  },
  async retained({ name, open }) {
    const pub = await open('pub');
    await pub.publish(name, 'stays', 1, true);
    const sub = await open('sub');
    await sub.subscribe(name, 1);
    await sub.expect([name, 'stays', 1, true]);
    await pub.publish(name, '', 1, true);
    await sub.expect([name, '', 1, false]);
    const late = await open('late');
    await late.subscribe(name, 1);
    await pub.publish(name, 'live');
    await late.expect([name, 'live', 1, false]);
  },
  async will({ name, open }) {
    const watcher = await open('watcher');
    await watcher.subscribe(name, 1);
    const will = { topic: name, payload: Buffer.from('gone'), qos: 1 as const, retain: false };
    await (await open('brief', { will })).mqtt.endAsync();
    (await open('broken', { will })).mqtt.stream.destroy();
    await watcher.expect([name, 'gone', 1, false]);
  },
  async session({ name, open }) {
    const first = await open('kept', { clean: false });
    await first.subscribe(name, 2);
    await first.mqtt.endAsync();
    const pub = await open('pub');
    for (const qos of [1, 2] as const) await pub.publish(name, `missed ${qos}`, qos);
    const again = await open('kept', { clean: false });
    expect(await again.isPresent).toBe(true);
    await again.expect([name, 'missed 1', 1, false], [name, 'missed 2', 2, false]);
    await again.mqtt.endAsync();
    expect(await (await open('kept', { clean: true })).isPresent).toBe(false);
  },
  async large({ name, open }) {
    const [sub, pub] = [await open('sub'), await open('pub')];
    await sub.subscribe(name, 2);
    const payload = 'Größe '.repeat(30_000).slice(0, 180_000);
    for (const qos of [0, 1, 2] as const) {
      await pub.publish(name, payload, qos);
      await sub.expect([name, payload, qos, false]);
    }
  },
  async wildcard({ name, open }) {
    const [sub, pub] = [await open('sub'), await open('pub')];
    await sub.subscribe(`${name}/+/c/#`, 1);
    for (const topic of ['/a/c', '/a/b', '/a/c/d/e', '/a/b/c', '//c', '/b/c/']) {
      await pub.publish(name + topic, topic);
    }
    const matching = ['/a/c', '/a/c/d/e', '//c', '/b/c/'];
    await sub.expect(...matching.map((topic) => [name + topic, topic, 1, false] as const));
  },
  async unicode({ name, open }) {
    const [sub, pub] = [await open('sub'), await open('pub')];
    const topics = ['Gewächshaus/№ 1', '温室/温度', 'дом', '🌡️/é'].map((each) => `${name}/${each}`);
    await sub.subscribe(`${name}/#`, 1);
    for (const topic of topics) await pub.publish(topic, topic);
    await sub.expect(...topics.map((topic) => [topic, topic, 1, false] as const));
  },
  async shared({ name, open }) {
    const [one, two, pub] = [await open('one'), await open('two'), await open('pub')];
    for (const member of [one, two]) await member.subscribe(`$share/js/${name}`, 1);
    const numbers = Array.from({ length: 40 }, (_, number) => `${number}`);
    for (const number of numbers) await pub.publish(name, number);
    await eventually(() => expect(one.got.length + two.got.length).toBe(40));
    const got = [...one.got, ...two.got].map(([, payload]) => payload);
    expect(got.sort()).toEqual(numbers.sort());
    expect(Math.min(one.got.length, two.got.length)).toBeGreaterThan(0);
  },
};

testClient({
  name: 'MQTT.js',
  isInstalled: true,
  async run(port, version, scenario) {
    const name = `js-${version}-${scenario}`;
    const all: MqttClient[] = [];
    const five = version === '5';
    try {
      await acts[scenario]({
        name,
        async open(role, options = {}) {
          const isLasting = five && options.clean === false;
          const mqtt = connect(`mqtt://127.0.0.1:${port}`, {
            ...{ clientId: `${name}-${role}`, reconnectPeriod: 0 },
            ...(five ? { protocolVersion: 5 } : {}),
            ...(isLasting ? { properties: { sessionExpiryInterval: 300 } } : {}),
            ...options,
          });
          all.push(mqtt);
          const client = new Client(mqtt);
          await client.isPresent;
          return client;
        },
      });
    } finally {
      for (const mqtt of all) await mqtt.endAsync(true);
    }
  },
});
