import { expect } from 'vitest';
import { connectBytes, field, packet, publishBytes, subscribeBytes } from './bytes.ts';
import { promise, type World } from './promise.ts';
import { connectPacket, type RawClient, type Received } from './raw-client.ts';

/** It is closed; at most a refusal was said before. */
async function turnedAway(client: RawClient): Promise<Received<'connack'> | undefined> {
  await client.closed();
  expect(client.pending.length).toBeLessThanOrEqual(1);
  const connack = client.pending[0] as Received<'connack'> | undefined;
  if (connack === undefined) return undefined;
  expect(connack.cmd).toBe('connack');
  expect(connack.sessionPresent).toBe(false);
  expect(connack.reasonCode ?? connack.returnCode).toBeGreaterThan(0);
  return connack;
}

/** A CONNECT that does not conform: 3.1.1 closes without a word, 5.0 may say why [MQTT-3.1.4-1]. */
async function nonconforming(world: World, bytes: Uint8Array): Promise<void> {
  const client = await world.open();
  client.send(bytes);
  const connack = await turnedAway(client);
  if (world.version === 4) expect(connack).toBeUndefined();
  else if (connack) expect([0x81, 0x82, 0x84, 0x85]).toContain(connack.reasonCode);
}

/** The will of MQTT 5 has properties in front. */
const noProperties = (version: number): number[] => (version === 5 ? [0] : []);

export function connect(): void {
  promise(
    'MQTT-3.1.0-1 MQTT5-3.1.0-1',
    'a connection that does not begin with CONNECT is closed and has no effect',
    async (world) => {
      const first = [
        publishBytes(world.version),
        Buffer.of(0xc0, 0),
        subscribeBytes(world.version, ['#']),
      ];
      for (const bytes of first) {
        const client = await world.open();
        client.send(bytes);
        await client.closed();
        expect(client.pending).toEqual([]);
      }
      expect(world.messages).toEqual([]);
    },
  );

  promise('MQTT-3.1.0-2 MQTT5-3.1.0-2', 'a second CONNECT ends the connection', async (world) => {
    const client = await world.connect();
    client.send(connectPacket(world.version));
    await client.refused(0x82);
  });

  promise(
    'MQTT-3.1.2-1 MQTT5-3.1.2-1',
    'a CONNECT with another protocol name is not served',
    async (world) => {
      for (const name of ['MQTX', 'mqtt', '', 'MQTTT']) {
        const client = await world.open();
        client.send(connectBytes(world.version, { name }), Buffer.of(0xc0, 0));
        await turnedAway(client);
      }
    },
  );

  promise(
    'MQTT-3.1.2-2',
    'a protocol level that is not supported gets return code 1',
    async (world) => {
      for (const level of [0, 2, 6, 0x7f]) {
        const client = await world.open();
        client.send(connectBytes(4, { level }));
        await client.closed();
        expect(client.pending.map(({ bytes }) => bytes.toString('hex'))).toEqual(['20020001']);
      }
    },
  );

  promise('MQTT5-3.1.2-2', 'a version that is not supported is not served', async (world) => {
    for (const level of [6, 7, 0xff]) {
      const client = await world.open(4);
      client.send(connectBytes(5, { level }));
      await turnedAway(client);
    }
  });

  promise(
    'MQTT-3.1.2-3 MQTT5-3.1.2-3',
    'a CONNECT with the reserved flag set is turned away',
    async (world) => await nonconforming(world, connectBytes(world.version, { flags: 3 })),
  );

  promise(
    'MQTT-3.1.2-11 MQTT-3.1.2-13 MQTT-3.1.2-15 MQTT5-3.1.2-11 MQTT5-3.1.2-13',
    'will QoS or will retain without the will flag is turned away',
    async (world) => {
      for (const flags of [0x08, 0x10, 0x20]) {
        await nonconforming(world, connectBytes(world.version, { flags: flags | 2 }));
      }
    },
  );

  promise('MQTT-3.1.2-14 MQTT5-3.1.2-12', 'a will with QoS 3 is turned away', async (world) => {
    const payload = [field('c'), noProperties(world.version), field('w'), field('gone')];
    await nonconforming(world, connectBytes(world.version, { flags: 0x1e, payload }));
  });

  promise(
    'MQTT-3.1.2-9 MQTT5-3.1.2-9',
    'a CONNECT with the will flag and without the fields of a will is turned away',
    async (world) => {
      const { version } = world;
      await nonconforming(world, connectBytes(version, { flags: 6, payload: [field('c')] }));
      const half = [field('c'), noProperties(version), field('w')];
      await nonconforming(world, connectBytes(version, { flags: 6, payload: half }));
    },
  );

  promise(
    'MQTT-3.1.2-18 MQTT-3.1.2-20 MQTT5-3.1.2-16 MQTT5-3.1.2-18',
    'a user name or a password without its flag is turned away',
    async (world) => {
      const surplus = [field('c'), field('name')];
      await nonconforming(world, connectBytes(world.version, { payload: surplus }));
      const password = { flags: 0x82, payload: [...surplus, field('secret')] };
      await nonconforming(world, connectBytes(world.version, password));
    },
  );

  promise(
    'MQTT-3.1.2-19 MQTT-3.1.2-21 MQTT5-3.1.2-17 MQTT5-3.1.2-19',
    'the flag of a user name or a password without the field is turned away',
    async (world) => {
      await nonconforming(world, connectBytes(world.version, { flags: 0x82 }));
      const named = { flags: 0xc2, payload: [field('c'), field('name')] };
      await nonconforming(world, connectBytes(world.version, named));
    },
  );

  promise('MQTT-3.1.2-22', 'a password without a user name is turned away', async (world) => {
    const payload = [field('c'), field('secret')];
    await nonconforming(world, connectBytes(4, { flags: 0x42, payload }));
  });

  promise(
    'MQTT-3.1.2-24 MQTT5-3.1.2-22 MQTT5-3.2.2-22',
    'a client silent for one and a half times its keep alive is gone as if the network had failed',
    async (world) => {
      const watcher = await world.connect({ id: 'watcher' });
      await watcher.subscribe('gone');
      const will = { topic: 'gone', payload: 'silent', qos: 0, retain: false };
      const client = await world.connect({ keepalive: 10, will });
      for (let times = 0; times < 3; times++) {
        world.clock.advance(9_000);
        client.send({ cmd: 'pingreq' });
        await client.next('pingresp');
      }
      world.clock.advance(15_500);
      await client.refused(0x8d);
      expect(await watcher.receive()).toMatchObject({ topic: 'gone' });
    },
  );

  promise(
    'MQTT-3.1.3-1 MQTT5-3.1.3-1',
    'the fields of a CONNECT are read in their order',
    async (world) => {
      const { version } = world;
      const watcher = await world.connect({ id: 'watcher' });
      await watcher.subscribe('wills/+');
      const client = await world.open();
      const will = [noProperties(version), field('wills/1'), field('farewell')];
      const payload = [field('ordered'), ...will, field('name'), field('secret')];
      client.send(connectBytes(version, { flags: 0xc6, payload }));
      await client.next('connack');
      await client.vanish();
      const { topic, payload: said } = await watcher.receive();
      expect([topic, String(said)]).toEqual(['wills/1', 'farewell']);
    },
  );

  promise(
    'MQTT-3.1.3-3 MQTT5-3.1.3-3',
    'a CONNECT without payload is turned away',
    async (world) => await nonconforming(world, connectBytes(world.version, { payload: [] })),
  );

  promise(
    'MQTT-3.1.3-5 MQTT5-3.1.3-5',
    'identifiers of 1 to 23 letters and digits are allowed',
    async (world) => {
      const characters = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
      const ids = ['a', characters.slice(0, 23), characters.slice(23, 46), characters.slice(39)];
      for (const id of ids) await (await world.connect({ id })).disconnect();
    },
  );

  promise(
    'MQTT-3.1.3-6 MQTT5-3.1.3-6 MQTT5-3.1.3-7 MQTT5-3.2.2-16',
    'clients without an identifier get one each, and MQTT 5 clients are told which',
    async (world) => {
      const clients = [await world.connect({ id: '' }), await world.connect({ id: '' })];
      for (const client of clients) await client.subscribe('all');
      await (await world.connect({ id: 'pub' })).publish('all', 'x', { qos: 1 });
      for (const client of clients) expect(await client.receive()).toMatchObject({ topic: 'all' });
      if (world.version !== 5) return;
      const ids = clients.map(({ connack }) => connack.properties?.assignedClientIdentifier);
      expect(new Set(ids).size).toBe(2);
      for (const id of ids) expect(id).toMatch(/./);
    },
  );

  promise(
    'MQTT5-3.1.3-7',
    'an assigned identifier names the session from then on',
    async (world) => {
      const properties = { sessionExpiryInterval: 60 };
      const client = await world.connect({ id: '', properties });
      const id = client.connack.properties!.assignedClientIdentifier!;
      await client.vanish();
      const { connack } = await world.connect({ id, clean: false, properties });
      expect(connack).toMatchObject({ sessionPresent: true });
      expect(connack.properties?.assignedClientIdentifier).toBeUndefined();
    },
  );

  promise(
    'MQTT-3.1.3-7 MQTT-3.1.3-8 MQTT-3.1.3-9 MQTT-3.2.2-4 MQTT-3.2.2-5',
    'no identifier and no clean session gets return code 2 and the end',
    async (world) => {
      const client = await world.open();
      client.send(connectBytes(4, { flags: 0, payload: [field('')] }));
      expect(await turnedAway(client)).toMatchObject({ returnCode: 2, sessionPresent: false });
    },
  );

  promise(
    'MQTT-3.1.4-1 MQTT-3.2.2-6 MQTT5-3.1.4-1',
    'a CONNECT that ends early or goes on too long is turned away',
    async (world) => {
      const { version } = world;
      await nonconforming(world, packet(0x10, field('MQTT'), [version, 2, 0]));
      const surplus = connectBytes(version, { payload: [field('c'), [1, 2, 3]] });
      await nonconforming(world, surplus);
      await nonconforming(
        world,
        connectBytes(version, { payload: [[0, 9], Buffer.from('short')] }),
      );
    },
  );

  promise(
    'MQTT-3.1.4-2 MQTT5-3.1.4-3',
    'a client that connects again ends its earlier connection, which MQTT 5 is told',
    async (world) => {
      const earlier = await world.connect({ id: 'twice' });
      const later = await world.connect({ id: 'twice' });
      await earlier.refused(0x8e);
      later.send({ cmd: 'pingreq' });
      await later.next('pingresp');
    },
  );

  promise(
    'MQTT-3.1.4-5 MQTT5-3.1.4-6',
    'what comes after a CONNECT that was refused is not processed',
    async (world) => {
      const sub = await world.connect({ id: 'sub' });
      await sub.subscribe('#');
      const client = await world.open();
      const refusedConnect = connectBytes(world.version, { flags: 3 });
      client.send(
        refusedConnect,
        publishBytes(world.version),
        publishBytes(world.version, { flags: 2, id: 1 }),
      );
      await turnedAway(client);
      expect(await world.deliveries(sub)).toEqual([]);
      expect(world.messages).toEqual(world.messages.filter(({ topic }) => topic !== 'a'));
    },
  );

  promise(
    'MQTT-3.1.4-4 MQTT-3.2.0-1 MQTT5-3.1.4-5 MQTT5-3.2.0-1 MQTT5-3.2.0-2 MQTT5-3.2.2-1',
    'CONNACK with success comes first and once, with reserved bits clear, whatever was sent at once',
    async (world) => {
      const { version } = world;
      const client = await world.open();
      const more = [subscribeBytes(version, ['a']), publishBytes(version, { flags: 2, id: 7 })];
      client.send(connectBytes(version), ...more, Buffer.of(0xc0, 0));
      const connack = await client.next('connack');
      expect([...connack.bytes.subarray(0, 1), ...connack.bytes.subarray(2, 4)]).toEqual([
        0x20, 0, 0,
      ]);
      await client.take('suback');
      await client.take('puback');
      await client.take('publish');
      await client.take('pingresp');
      expect(client.pending).toEqual([]);
    },
  );

  promise(
    'MQTT5-3.2.2-8 MQTT5-2.2.2-1',
    'CONNACK has a reason code from its table and limits nothing the broker does',
    async (world) => {
      const { connack } = await world.connect();
      expect(connack.reasonCode).toBe(0);
      const { maximumQoS, retainAvailable, ...more } = { ...connack.properties } as Record<
        string,
        unknown
      >;
      expect(maximumQoS).toBeUndefined();
      expect([undefined, true, 1]).toContain(retainAvailable);
      for (const name of [
        'wildcardSubscriptionAvailable',
        'subscriptionIdentifiersAvailable',
        'sharedSubscriptionAvailable',
      ]) {
        expect([undefined, true, 1]).toContain(more[name]);
      }
    },
  );

  promise(
    'MQTT5-3.1.2-28',
    'response information goes only to those who ask for it',
    async (world) => {
      for (const requestResponseInformation of [false, undefined]) {
        const properties =
          requestResponseInformation === undefined ? {} : { requestResponseInformation };
        const { connack } = await world.connect({ properties });
        expect(connack.properties?.responseInformation).toBeUndefined();
      }
    },
  );

  promise(
    'MQTT5-3.2.2-6 MQTT5-3.2.2-7 MQTT5-4.13.2-1 MQTT5-3.14.0-1',
    'a CONNECT that is refused gets CONNACK without session present, no DISCONNECT, and the end',
    async (world) => {
      const kept = await world.connectKept('refused');
      await kept.vanish();
      const client = await world.open();
      const properties = { authenticationMethod: 'no-such-method' };
      client.send(connectPacket(5, { id: 'refused', clean: false, properties }));
      const connack = await client.next('connack');
      expect(connack).toMatchObject({ sessionPresent: false, reasonCode: 0x8c });
      await client.closed();
      expect(client.pending).toEqual([]);
    },
  );

  promise(
    'MQTT5-3.1.3-8',
    'a client identifier that is refused ends the connection',
    async (world) => {
      const client = await world.open();
      client.send(connectPacket(5, { id: 'x'.repeat(30_000) }));
      const connack = await turnedAway(client);
      expect([undefined, 0x85, 0x95]).toContain(connack?.reasonCode);
    },
  );
}
