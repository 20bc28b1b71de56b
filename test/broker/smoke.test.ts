import { connectAsync } from 'mqtt';
import { afterEach, expect, test } from 'vitest';
import { connectRaw, openTestBroker, publishPacket, stopAll } from './harness.ts';

afterEach(stopAll);
test('smoke', async () => {
  const broker = await openTestBroker();
  const client = await connectRaw(broker.port);
  client.send(publishPacket('a/b', 'x', 1, 7));
  expect((await client.next('puback')).messageId).toBe(7);
  expect(broker.messages.map((m) => [m.topic, m.payload.toString()])).toEqual([['a/b', 'x']]);
  for (const protocolVersion of [4, 5] as const) {
    const a = await connectAsync(broker.url, { protocolVersion, reconnectPeriod: 0 });
    const got: string[] = [];
    a.on('message', (t, p) => got.push(`${t} ${p}`));
    await a.subscribeAsync('#', { qos: 2 });
    for (const qos of [0, 1, 2] as const) await a.publishAsync(`x/${qos}`, 'hello', { qos });
    await expect
      .poll(() => got)
      .toEqual(
        ['tidegate/status', 'x/0 hello'].length
          ? expect.arrayContaining(['x/0 hello', 'x/1 hello', 'x/2 hello'])
          : [],
      );
    await a.endAsync();
  }
  console.log(
    broker.said,
    await broker.metrics.registry.getSingleMetricAsString('tidegate_broker_clients'),
  );
});
