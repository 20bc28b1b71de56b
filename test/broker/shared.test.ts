import { afterEach, expect, test } from 'vitest';
import { eventually } from '../services/child.ts';
import {
  connectKept,
  payloads,
  publish,
  received,
  subscribe,
  unsubscribe,
} from './delivery-clients.ts';
import { connectRaw, openTestBroker, publishPacket, type RawClient, stopAll } from './harness.ts';

afterEach(stopAll);

const numbers = (texts: readonly string[]) => texts.map(Number);

async function openMembers(port: number, ids: readonly string[], filter: string, qos: 0 | 1 | 2) {
  const members: RawClient[] = [];
  for (const [index, id] of ids.entries()) {
    const version = index % 2 === 0 ? 5 : 4;
    const member = await connectRaw(port, version, { id });
    expect(await subscribe(member, filter, qos)).toEqual([qos]);
    members.push(member);
  }
  return members;
}

test('each message goes to one member in turn, whatever its version, and to all other subscribers', async () => {
  const { port } = await openTestBroker();
  const members = await openMembers(port, ['a', 'b', 'c'], '$share/group/load/#', 1);
  const [other] = await openMembers(port, ['other'], '$share/others/load/#', 0);
  const plain = await connectRaw(port, 4, { id: 'plain' });
  await subscribe(plain, 'load/+', 1);
  const writer = await connectRaw(port, 4, { id: 'writer' });
  for (let index = 0; index < 30; index++) await publish(writer, 'load/a', `${index}`);
  const shares = await Promise.all(members.map(payloads));
  expect(shares.map((share) => share.length)).toEqual([10, 10, 10]);
  const all = Array.from({ length: 30 }, (_, index) => index);
  expect(numbers(shares.flat()).sort((a, b) => a - b)).toEqual(all);
  expect(numbers(await payloads(plain))).toEqual(all);
  expect(numbers(await payloads(other!))).toEqual(all);
});

test('who has no room is passed over, and what nobody takes waits for who has', async () => {
  const { port } = await openTestBroker();
  const one = await connectRaw(port, 5, { id: 'one', properties: { receiveMaximum: 1 } });
  const three = await connectRaw(port, 5, { id: 'three', properties: { receiveMaximum: 3 } });
  for (const member of [one, three]) await subscribe(member, '$share/g/load', 1);
  const writer = await connectRaw(port, 4, { id: 'writer' });
  for (let index = 0; index < 6; index++) await publish(writer, 'load', `${index}`);
  expect([await payloads(one), await payloads(three)]).toEqual([['0'], ['1', '2', '3']]);
  const { messageId } = await one.next('publish');
  one.send({ cmd: 'puback', messageId: messageId!, reasonCode: 0 });
  expect(await payloads(one)).toEqual(['0', '4']);
});

test('what a member has not acknowledged when it goes is handed to another, in order', async () => {
  const { port } = await openTestBroker();
  const [first, second] = await openMembers(port, ['a', 'b'], '$share/g/load', 1);
  const writer = await connectRaw(port, 4, { id: 'writer' });
  for (let index = 0; index < 8; index++) await publish(writer, 'load', `${index}`);
  const { messageId } = await first!.next('publish');
  first!.send({ cmd: 'puback', messageId: messageId!, reasonCode: 0 });
  expect(await payloads(first!)).toEqual(['0', '2', '4', '6']);
  first!.end();
  await eventually(async () =>
    expect(await payloads(second!)).toEqual(['1', '3', '5', '7', '2', '4', '6']),
  );
  expect((await received(second!)).every(({ dup }) => !dup)).toBe(true);
  second!.end();
  const third = await connectRaw(port, 4, { id: 'c' });
  await subscribe(third, '$share/g/load', 1);
  // The group was over when nobody was left whose session lasts.
  expect(await payloads(third)).toEqual([]);
});

test('while all members are away, messages wait for the first that returns', async () => {
  const { port } = await openTestBroker();
  for (const id of ['a', 'b']) {
    const member = await connectKept(port, id);
    await subscribe(member, '$share/g/load', 1);
    member.end();
  }
  const writer = await connectRaw(port, 4, { id: 'writer' });
  for (let index = 0; index < 5; index++) await publish(writer, 'load', `${index}`);
  const back = await connectKept(port, 'b');
  expect(await payloads(back)).toEqual(['0', '1', '2', '3', '4']);
});

test('a QoS 2 message that was begun with one member is nobody else’s [MQTT-4.8.2-4]', async () => {
  const { port } = await openTestBroker();
  const first = await connectKept(port, 'first');
  await subscribe(first, '$share/g/load', 2);
  const second = await connectKept(port, 'second');
  await subscribe(second, '$share/g/load', 2);
  const writer = await connectRaw(port, 4, { id: 'writer' });
  writer.send(publishPacket('load', 'x', 2, 1));
  const { messageId } = await first.next('publish');
  first.end();
  expect(await payloads(second)).toEqual([]);
  const back = await connectKept(port, 'first');
  expect(await back.next('publish')).toMatchObject({ messageId, dup: true });
});

test('shared subscriptions get no retained messages, and can be ended', async () => {
  const { port } = await openTestBroker();
  const writer = await connectRaw(port, 4, { id: 'writer' });
  await publish(writer, 'load', 'kept', { retain: true });
  const member = await connectRaw(port, 5, { id: 'member' });
  await subscribe(member, '$share/g/load', 1);
  expect(await payloads(member)).toEqual([]);
  expect(await unsubscribe(member, '$share/g/load', '$share/other/load')).toEqual([0, 0x11]);
  await publish(writer, 'load', 'later');
  expect(await payloads(member)).toEqual([]);
});

test('names and options that are not right are refused', async () => {
  const { port } = await openTestBroker();
  const older = await connectRaw(port, 4, { id: 'older' });
  const wrong = ['$share/g', '$share//a', '$share/g/', '$share/+/a'];
  expect(
    await subscribe(
      older,
      wrong.map((topic) => ({ topic })),
    ),
  ).toEqual(wrong.map(() => 0x80));
  const newer = await connectRaw(port, 5, { id: 'newer' });
  newer.send({
    ...{ cmd: 'subscribe', messageId: 1 },
    subscriptions: [{ topic: '$share/g/a', qos: 0, nl: true, rap: false, rh: 0 }],
  });
  expect((await newer.next('disconnect')).reasonCode).toBe(0x82);
});

test('what waits for a group is bounded: the oldest goes, and is counted', async () => {
  const broker = await openTestBroker({ options: { limits: { queuedMessages: 4 } } });
  const member = await connectKept(broker.port, 'a');
  await subscribe(member, '$share/g/load', 1);
  member.end();
  await eventually(() => expect(broker.source.clients).toBe(0));
  const writer = await connectRaw(broker.port, 4, { id: 'writer' });
  for (let index = 0; index < 10; index++) await publish(writer, 'load', `${index}`);
  const back = await connectKept(broker.port, 'a');
  expect(await payloads(back)).toEqual(['6', '7', '8', '9']);
  expect(await broker.count('brokerDropped', 'queue_full')).toBe(6);
});
