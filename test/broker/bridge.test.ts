import { connectAsync, type MqttClient } from 'mqtt';
import { afterEach, expect, test } from 'vitest';
import { available, eventually } from '../services/child.ts';
import { startMosquitto } from '../services/mosquitto.ts';
import { openRawClient, openTestBroker, stopAll } from './harness.ts';

const open: { stop(): Promise<void> }[] = [];
const clients: MqttClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) await client.endAsync(true);
  for (const { stop } of open.splice(0)) await stop();
  await stopAll();
});

/** A client that collects what it gets: topic, payload, and whether it was retained. */
async function listen(url: string, filter: string) {
  const client = await connectAsync(url);
  clients.push(client);
  const got: string[] = [];
  client.on('message', (topic, payload, { retain }) =>
    got.push(`${topic} ${payload}${retain ? ' retained' : ''}`),
  );
  await client.subscribeAsync(filter, { qos: 1 });
  return { client, got };
}

/** CONNECT with bit 7 of the protocol level set, as bridges do. */
function bridgeConnect(level: 3 | 4, id: string): Buffer {
  const name = level === 3 ? 'MQIsdp' : 'MQTT';
  const body = Buffer.concat([
    Buffer.from([0, name.length]),
    Buffer.from(name),
    Buffer.from([0x80 + level, 2, 0, 60, 0, id.length]),
    Buffer.from(id),
  ]);
  return Buffer.concat([Buffer.from([0x10, body.length]), body]);
}

for (const level of [3, 4] as const) {
  test(`a bridge is let in, level ${level}, and gets nothing back that it has sent`, async () => {
    const broker = await openTestBroker();
    const bridge = await openRawClient(broker.port, level);
    bridge.send(bridgeConnect(level, 'bridge'));
    expect((await bridge.next('connack')).returnCode).toBe(0);
    bridge.send({
      cmd: 'subscribe',
      messageId: 1,
      subscriptions: [{ topic: '#', qos: 1 }],
    } as never);
    await bridge.next('suback');
    bridge.send({
      ...{ cmd: 'publish', topic: 'mine', payload: '1', qos: 1, messageId: 2 },
      ...{ retain: false, dup: false },
    } as never);
    await bridge.next('puback');
    const other = await connectAsync(broker.url);
    clients.push(other);
    await other.publishAsync('theirs', '2', { qos: 1, retain: true });
    const { topic, retain } = await bridge.next('publish');
    expect([topic, retain]).toEqual(['theirs', true]);
  });
}

const isInstalled = available('mosquitto');
test.skipIf(!isInstalled)(
  `a real Mosquitto bridges both ways without a loop${isInstalled ? '' : ' (not installed)'}`,
  { timeout: 30_000 },
  async () => {
    const broker = await openTestBroker();
    const mosquitto = await startMosquitto({
      lines: [
        ...['connection ours', `address 127.0.0.1:${broker.port}`, 'topic # both 1'],
        ...['bridge_protocol_version mqttv311', 'notifications false', 'restart_timeout 1'],
        ...['try_private true', 'cleansession true'],
      ],
    });
    open.push(mosquitto);
    await eventually(() => expect(broker.source.clients).toBe(1));
    const there = await listen(mosquitto.url, '#');
    const here = await listen(broker.url, '#');
    await there.client.publishAsync('from/there', '1', { qos: 1 });
    await eventually(() => expect(here.got).toEqual(['from/there 1']));
    await here.client.publishAsync('from/here', '2', { qos: 1 });
    await eventually(() => expect(there.got).toEqual(['from/there 1', 'from/here 2']));
    await here.client.publishAsync('kept', '3', { qos: 1, retain: true });
    await eventually(() => expect(there.got.at(-1)).toBe('kept 3'));
    const late = await listen(mosquitto.url, 'kept');
    await eventually(() => expect(late.got).toEqual(['kept 3 retained']));
    // One more round trip: whatever was on its way in a circle would have come.
    await there.client.publishAsync('last', '4', { qos: 1 });
    await eventually(() => expect(here.got.at(-1)).toBe('last 4'));
    await here.client.publishAsync('end', '5', { qos: 1 });
    await eventually(() => expect(there.got.at(-1)).toBe('end 5'));
    expect(there.got).toEqual(['from/there 1', 'from/here 2', 'kept 3', 'last 4', 'end 5']);
    expect(here.got).toEqual(there.got);
    expect(broker.messages.map(({ topic }) => topic).sort()).toEqual(
      ['end', 'from/here', 'from/there', 'kept', 'last'].sort(),
    );
  },
);
