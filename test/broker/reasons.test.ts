import { afterEach, expect, test } from 'vitest';
import { authFiles, userLine } from './auth-files.ts';
import { subscribe } from './delivery-clients.ts';
import {
  connectPacket,
  connectRaw,
  openRawClient,
  openTestBroker,
  publishPacket,
  stopAll,
} from './harness.ts';

afterEach(stopAll);

async function open() {
  const files = authFiles({
    users: await userLine('anna', 'word'),
    acl: 'topic read a/#\nuser anna\ntopic read a/#\n',
  });
  const auth = { passwordFile: 'users', aclFile: 'acl', anonymous: true };
  return await openTestBroker({ options: { auth }, authFiles: files });
}

const reasonOf = ({ properties }: { properties?: unknown }) =>
  (properties as { reasonString?: string } | undefined)?.reasonString;

/** What a client is told, whatever it does wrong. */
async function told(port: number, properties: object): Promise<(string | undefined)[]> {
  const client = await connectRaw(port, 5, { id: 'a', properties });
  client.send(publishPacket('b', 'x', 1, 1), publishPacket('b', 'x', 2, 2));
  const answers = [reasonOf(await client.next('puback')), reasonOf(await client.next('pubrec'))];
  await connectRaw(port, 5, { id: 'a' });
  answers.push(reasonOf(await client.next('disconnect')));
  const wrong = await connectRaw(port, 5, { id: 'b', properties });
  wrong.send(Buffer.from([0x80, 0]));
  answers.push(reasonOf(await wrong.next('disconnect')));
  const stranger = await openRawClient(port, 5);
  const login = { username: 'anna', password: Buffer.from('no') };
  stranger.send({ ...connectPacket(5, { properties }), ...login } as never);
  const refused = await stranger.next('connack');
  expect(refused.reasonCode).toBe(0x86);
  await stranger.gone();
  return [...answers, reasonOf(refused)];
}

test('a client with MQTT 5 is told in words why it may not', async () => {
  const { port } = await open();
  expect(await told(port, {})).toEqual([
    'not allowed to publish to that topic',
    'not allowed to publish to that topic',
    'another connection has this client identifier',
    expect.stringMatching(/^malformed packet \[MQTT5-/),
    'the user name or the password is wrong',
  ]);
});

test('only codes are sent to who asked for no reasons, and to who takes nothing so large', async () => {
  const { port } = await open();
  const nothing = [undefined, undefined, undefined, undefined, undefined];
  expect(await told(port, { requestProblemInformation: false })).toEqual(nothing);
  expect(await told(port, { maximumPacketSize: 20 })).toEqual(nothing);
});

test('an answer that is as large as a client takes is sent whole', async () => {
  const { port } = await open();
  const filters = Array.from({ length: 24 }, (_, index) => ({ topic: `a/${index}` }));
  const whole = await connectRaw(port, 5, { properties: { maximumPacketSize: 29 } });
  expect(await subscribe(whole, filters)).toHaveLength(24);
  const less = await connectRaw(port, 5, { id: 'less', properties: { maximumPacketSize: 28 } });
  await expect(subscribe(less, filters)).rejects.toThrow();
  expect((await less.next('disconnect')).reasonCode).toBe(0x95);
});
