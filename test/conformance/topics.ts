import { expect } from 'vitest';
import { subscribeBytes } from './bytes.ts';
import { promise } from './promise.ts';

export function topics(): void {
  promise(
    'MQTT-4.7.1-2 MQTT-4.7.1-3 MQTT5-4.7.1-1 MQTT5-4.7.1-2',
    'a filter with a wildcard out of place closes the connection',
    async (world) => {
      for (const filter of [
        'a#',
        '#/a',
        'a/#/b',
        'a/b#',
        '##',
        'a+',
        '+a',
        'a/+b',
        'a/b+/c',
        '++',
      ]) {
        const client = await world.connect();
        client.send(subscribeBytes(world.version, [filter]));
        await client.refused(0x81);
      }
    },
  );

  promise(
    'MQTT-4.7.1-2 MQTT-4.7.1-3 MQTT5-4.7.1-1 MQTT5-4.7.1-2 MQTT-3.3.2-3 MQTT5-3.3.2-3',
    'wildcards match the levels that they should',
    async (world) => {
      const topics = ['a', '/', '/a', 'a/', 'a/b', 'a/b/c', 'b', 'a//b'];
      const matches: Record<string, readonly string[]> = {
        '#': topics,
        '+': ['a', 'b'],
        '+/+': ['/', '/a', 'a/', 'a/b'],
        '/+': ['/', '/a'],
        'a/#': ['a', 'a/', 'a/b', 'a/b/c', 'a//b'],
        'a/+': ['a/', 'a/b'],
        'a/+/#': ['a/', 'a/b', 'a/b/c', 'a//b'],
        '+/b/#': ['a/b', 'a/b/c'],
        '/#': ['/', '/a'],
        'a/b/#': ['a/b', 'a/b/c'],
      };
      const pub = await world.connect({ id: 'pub' });
      for (const [filter, expected] of Object.entries(matches)) {
        const sub = await world.connect({ id: 'sub' });
        await sub.subscribe(filter);
        for (const topic of topics) await pub.publish(topic, 'x', { qos: 1 });
        const got = (await world.deliveries(sub)).map(({ topic }) => topic);
        expect([filter, got]).toEqual([filter, expected]);
      }
    },
  );

  promise(
    'MQTT-4.7.2-1 MQTT5-4.7.2-1',
    'a filter that begins with a wildcard does not match a topic that begins with $',
    async (world) => {
      const sub = await world.connect({ id: 'sub' });
      await sub.subscribe([{ topic: '#' }, { topic: '+/a' }, { topic: '+/#' }]);
      const named = await world.connect({ id: 'named' });
      await named.subscribe('$test/#');
      const pub = await world.connect({ id: 'pub' });
      for (const retain of [true, false]) await pub.publish('$test/a', 'x', { qos: 1, retain });
      expect(await world.deliveries(sub)).toEqual([]);
      expect(await named.receive()).toMatchObject({ topic: '$test/a' });
      const late = await world.connect({ id: 'late' });
      await late.subscribe('#');
      expect(await world.deliveries(late)).toEqual([]);
    },
  );

  promise(
    'MQTT-4.7.3-4 MQTT5-4.7.3-4',
    'names are compared byte by byte: nothing is normalised',
    async (world) => {
      const names = [
        'Ä',
        'A\u0308',
        'ä',
        'a/../b',
        'b',
        'a b',
        'a%20b',
        ' a',
        'a ',
        'a//b',
        'a/b',
        '\u{1f321}',
        '\ufffd',
      ];
      const pub = await world.connect({ id: 'pub' });
      const subs = [];
      for (const [at, name] of names.entries()) {
        const sub = await world.connect({ id: `sub${at}` });
        await sub.subscribe(name);
        subs.push(sub);
      }
      for (const name of names) await pub.publish(name, 'x', { qos: 1 });
      for (const [at, sub] of subs.entries()) {
        expect((await world.deliveries(sub)).map(({ topic }) => topic)).toEqual([names[at]]);
      }
    },
  );
}
