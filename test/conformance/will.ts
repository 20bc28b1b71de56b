import { expect } from 'vitest';
import { connectBytes, field, properties, u32, userProperty } from './bytes.ts';
import { promise, type World } from './promise.ts';

const willOf = (more: object = {}) => ({
  topic: 'wills/c',
  payload: 'gone',
  qos: 1,
  retain: false,
  ...more,
});

async function watch(world: World) {
  const watcher = await world.connect({ id: 'watcher' });
  await watcher.subscribe('wills/#', 2);
  return watcher;
}

export function will(): void {
  promise(
    'MQTT-3.1.2-8 MQTT-3.1.2-9 MQTT-3.1.2-10 MQTT-3.1.2-16 MQTT5-3.1.2-7 MQTT5-3.1.2-8 MQTT5-3.1.2-10 MQTT5-3.1.2-14',
    'the will of a client that vanishes is published once, with its QoS, and not retained',
    async (world) => {
      const watcher = await watch(world);
      for (const qos of [0, 1, 2]) {
        const client = await world.connect({ will: willOf({ qos }) });
        await client.vanish();
        const { payload, qos: got, retain } = await watcher.receive();
        expect([String(payload), got, retain]).toEqual(['gone', qos, false]);
      }
      await (await world.connect()).vanish();
      expect(await world.deliveries(watcher)).toEqual([]);
      const late = await world.connect({ id: 'late' });
      await late.subscribe('wills/#');
      expect(await world.deliveries(late)).toEqual([]);
    },
  );

  promise('MQTT-3.1.2-17 MQTT5-3.1.2-15', 'a will with retain is retained', async (world) => {
    const watcher = await watch(world);
    await (await world.connect({ will: willOf({ retain: true }) })).vanish();
    expect(await watcher.receive()).toMatchObject({ retain: false });
    const late = await world.connect({ id: 'late' });
    await late.subscribe('wills/#', 1);
    expect(await late.receive()).toMatchObject({ topic: 'wills/c', retain: true, qos: 1 });
  });

  promise(
    'MQTT-3.1.2-10 MQTT-3.14.4-3 MQTT5-3.1.2-10 MQTT5-3.14.4-3',
    'a client that says DISCONNECT has no will, in this connection and in the next',
    async (world) => {
      const watcher = await watch(world);
      await (await world.connect({ will: willOf() })).disconnect();
      await (await world.connect()).vanish();
      await world.clientsAre(1);
      expect(await world.deliveries(watcher)).toEqual([]);
    },
  );

  promise('MQTT-3.1.2-12', 'a client without a will has none published', async (world) => {
    const watcher = await watch(world);
    await (await world.connect({ will: willOf() })).disconnect();
    const client = await world.connect();
    await client.vanish();
    await world.clientsAre(1);
    expect(await world.deliveries(watcher)).toEqual([]);
  });

  promise(
    'MQTT-3.1.2-8 MQTT5-3.1.2-8',
    'the will is published when the broker ends the connection for an error or for a new one',
    async (world) => {
      const watcher = await watch(world);
      const wrong = await world.connect({ id: 'wrong', will: willOf() });
      wrong.send(Buffer.of(0xff, 0));
      await wrong.closed();
      expect(await watcher.receive()).toMatchObject({ topic: 'wills/c' });
      await world.connect({ id: 'twice', will: willOf({ payload: 'taken over' }) });
      await world.connect({ id: 'twice' });
      expect(String((await watcher.receive()).payload)).toBe('taken over');
    },
  );

  promise('MQTT5-3.1.2-8', 'DISCONNECT with 0x04 has the will published', async (world) => {
    const watcher = await watch(world);
    await (await world.connect({ will: willOf() })).disconnect({ reasonCode: 4 });
    expect(await watcher.receive()).toMatchObject({ topic: 'wills/c' });
  });

  promise(
    'MQTT5-3.1.2-8',
    'a will with a delay is published when the delay is over, or with the end of the session',
    async (world) => {
      const watcher = await watch(world);
      const delayed = (seconds: number) => willOf({ properties: { willDelayInterval: seconds } });
      const lasting = { properties: { sessionExpiryInterval: 1000 } };
      await (await world.connect({ id: 'one', ...lasting, will: delayed(100) })).vanish();
      await world.clientsAre(1);
      world.clock.advance(90_000);
      expect(await world.deliveries(watcher)).toEqual([]);
      world.clock.advance(11_000);
      expect(await watcher.receive()).toMatchObject({ topic: 'wills/c' });

      const brief = { properties: { sessionExpiryInterval: 10 } };
      await (await world.connect({ id: 'two', ...brief, will: delayed(3600) })).vanish();
      await world.clientsAre(1);
      world.clock.advance(12_000);
      expect(await watcher.receive()).toMatchObject({ topic: 'wills/c' });

      await (await world.connect({ id: 'three', ...lasting, will: delayed(3600) })).vanish();
      await world.clientsAre(1);
      await world.connect({ id: 'three', clean: true });
      expect(await watcher.receive()).toMatchObject({ topic: 'wills/c' });
    },
  );

  promise(
    'MQTT5-3.1.3-9',
    'a client that is back within the delay has no will published',
    async (world) => {
      const watcher = await watch(world);
      const lasting = { id: 'back', clean: false, properties: { sessionExpiryInterval: 1000 } };
      const delayed = willOf({ properties: { willDelayInterval: 100 } });
      await (await world.connect({ ...lasting, will: delayed })).vanish();
      await world.clientsAre(1);
      world.clock.advance(50_000);
      const again = await world.connect(lasting);
      expect(again.connack.sessionPresent).toBe(true);
      world.clock.advance(100_000);
      expect(await world.deliveries(watcher)).toEqual([]);
    },
  );

  promise(
    'MQTT5-3.1.3-10',
    'the properties of a will are published with it, user properties in their order',
    async (world) => {
      const watcher = await watch(world);
      const pairs = [userProperty('b', '1'), userProperty('a', '2'), userProperty('b', '3')];
      const kept = [
        ...[[0x01, 1], [0x02], u32(600), [0x03], field('text/plain')],
        ...[[0x08], field('answers'), [0x09], field('\x01\x02')],
      ];
      const willFields = [properties(...kept, ...pairs), field('wills/c'), field('gone')];
      const client = await world.open();
      client.send(connectBytes(5, { flags: 6, payload: [field('c'), ...willFields] }));
      await client.next('connack');
      await client.vanish();
      const got = await watcher.receive();
      expect(got.bytes.includes(Buffer.concat(pairs))).toBe(true);
      expect(got.properties).toMatchObject({
        ...{ payloadFormatIndicator: true, contentType: 'text/plain', responseTopic: 'answers' },
        correlationData: Buffer.from('\x01\x02'),
      });
      expect(got.properties!.messageExpiryInterval).toBeGreaterThan(590);
    },
  );
}
