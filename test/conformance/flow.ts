import { expect } from 'vitest';
import { publishBytes } from './bytes.ts';
import { promise, type World } from './promise.ts';

async function fill(world: World, receiveMaximum: number) {
  const sub = await world.connectKept('sub', { receiveMaximum });
  await sub.subscribe([
    { topic: 'one', qos: 1 },
    { topic: 'two', qos: 2 },
    { topic: 'zero', qos: 0 },
  ]);
  const pub = await world.connect({ id: 'pub' });
  for (let at = 0; at < 6; at++) await pub.publish(at % 2 ? 'two' : 'one', `${at}`, { qos: 2 });
  return { sub, pub };
}

export function flow(): void {
  promise(
    'MQTT5-3.3.4-9 MQTT5-4.9.0-1 MQTT5-4.9.0-2',
    'no more messages with a QoS are under way to a client than its receive maximum',
    async (world) => {
      const { sub } = await fill(world, 2);
      const got = [await sub.take('publish'), await sub.take('publish')];
      const drained = async () => {
        sub.send({ cmd: 'pingreq' });
        await sub.take('pingresp');
        return sub.pending.filter(({ cmd }) => cmd === 'publish');
      };
      await sub.subscribe('other');
      expect(await drained()).toEqual([]);
      sub.send({ cmd: 'puback', messageId: got[0]!.messageId });
      const third = await sub.take('publish');
      expect(String(third.payload)).toBe('2');
      sub.send({ cmd: 'pubrec', messageId: got[1]!.messageId });
      await sub.take('pubrel');
      await sub.subscribe('other');
      expect(await drained()).toEqual([]);
      sub.send({ cmd: 'pubcomp', messageId: got[1]!.messageId });
      const fourth = await sub.take('publish');
      expect(String(fourth.payload)).toBe('3');
      sub.send({ cmd: 'pubrec', messageId: fourth.messageId, reasonCode: 0x80 });
      expect(String((await sub.take('publish')).payload)).toBe('4');
    },
  );

  promise(
    'MQTT5-3.3.4-10 MQTT5-4.9.0-3',
    'at a quota of zero everything else goes on',
    async (world) => {
      const { sub, pub } = await fill(world, 1);
      const { messageId } = await sub.take('publish');
      await pub.publish('zero', 'now', { qos: 0 });
      expect(await sub.subscribe('other', 1)).toEqual([1]);
      await sub.unsubscribe('other');
      await sub.publish('x', 'x', { qos: 1 });
      await sub.publish('x', 'x', { qos: 2 });
      sub.send({ cmd: 'pingreq' });
      await sub.take('pingresp');
      sub.send({ cmd: 'puback', messageId });
      await sub.take('publish');
    },
  );

  promise(
    'MQTT5-3.3.4-9 MQTT5-4.9.0-1',
    'the receive maximum counts for what is sent again on reconnection',
    async (world) => {
      const { sub } = await fill(world, 5);
      for (let at = 0; at < 5; at++) await sub.take('publish');
      await sub.vanish();
      const again = await world.connectKept('sub', { receiveMaximum: 1 });
      const numbers: string[] = [];
      for (let at = 0; at < 6; at++) {
        const found = await again.take('publish');
        again.send({ cmd: 'pingreq' });
        await again.take('pingresp');
        expect(again.pending).toEqual([]);
        numbers.push(String(found.payload));
        const { messageId } = found;
        if (found.qos === 1) again.send({ cmd: 'puback', messageId });
        else {
          again.send({ cmd: 'pubrec', messageId });
          await again.take('pubrel');
          again.send({ cmd: 'pubcomp', messageId });
        }
      }
      expect(numbers).toEqual(['0', '1', '2', '3', '4', '5']);
    },
  );

  promise(
    'MQTT5-3.3.4-7',
    'a client with more QoS 2 messages under way than the broker receives is told 0x93',
    async (world) => {
      const pub = await world.connect({ id: 'pub' });
      const maximum = pub.connack.properties?.receiveMaximum ?? 65_535;
      const all: Buffer[] = [];
      for (let id = 1; id <= Math.min(maximum + 1, 65_535); id++)
        all.push(publishBytes(5, { flags: 4, id }));
      expect(maximum).toBeLessThan(65_535);
      pub.send(...all);
      expect((await pub.take('disconnect')).reasonCode).toBe(0x93);
      await pub.closed();
    },
  );

  promise(
    'MQTT5-3.3.4-8',
    'a client that has used up its quota is still answered',
    async (world) => {
      const pub = await world.connect({ id: 'pub' });
      const maximum = pub.connack.properties?.receiveMaximum ?? 65_535;
      const all: Buffer[] = [];
      for (let id = 1; id <= maximum; id++) all.push(publishBytes(5, { flags: 4, id }));
      pub.send(...all);
      for (let id = 1; id <= maximum; id++) expect((await pub.next('pubrec')).messageId).toBe(id);
      pub.send({ cmd: 'pingreq' });
      await pub.next('pingresp');
      await pub.publish('a', 'x', { qos: 0 });
      expect(await pub.subscribe('b')).toEqual([0]);
    },
  );
}
