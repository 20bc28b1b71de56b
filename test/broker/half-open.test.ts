/** Clients that are gone without a word: nothing comes from them any more, nor an end of the connection. */
import { existsSync, readFileSync } from 'node:fs';
import { connect as dial, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { openWire, type Wire } from '../chaos/wire.ts';
import { eventually } from '../services/child.ts';
import { payloads, publish, subscribe } from './delivery-clients.ts';
import { connectRaw, createFastClock, openTestBroker, stopAll } from './harness.ts';

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
  await stopAll();
});

async function wireTo(port: number): Promise<Wire> {
  const wire = await openWire(port);
  open.push(wire);
  return wire;
}

async function socketTo(port: number): Promise<Socket> {
  const socket = dial({ port, host: '127.0.0.1' });
  socket.on('error', () => {});
  open.push({ close: async () => void socket.destroy() });
  await new Promise((resolve) => socket.once('connect', resolve));
  return socket;
}

test('a client that vanishes is gone after 1.5 times its keep-alive, and its will is published', async () => {
  const clock = createFastClock(10);
  const broker = await openTestBroker({ clock });
  const wire = await wireTo(broker.port);
  const watcher = await connectRaw(broker.port, 4, { id: 'watcher' });
  await subscribe(watcher, 'state/#');
  const will = { topic: 'state/vanishing', payload: Buffer.from('gone'), qos: 1, retain: false };
  const before = clock.monotonic();
  await connectRaw(wire.port, 5, { id: 'vanishing', keepalive: 10, will });
  wire.mood = 'stalls';
  expect(broker.source.clients).toBe(2);
  const told = await watcher.next('publish');
  expect([told.topic, String(told.payload)]).toEqual(['state/vanishing', 'gone']);
  expect(clock.monotonic() - before).toBeGreaterThan(15_000);
  // Nobody is there to answer the end of the connection.
  await eventually(() => expect(broker.source.clients).toBe(1));
});

test('what was on its way to a client that vanished waits for it', async () => {
  const broker = await openTestBroker({ clock: createFastClock(10) });
  const wire = await wireTo(broker.port);
  const lasting = { properties: { sessionExpiryInterval: 3600 }, clean: false, id: 'lasting' };
  const first = await connectRaw(wire.port, 5, { ...lasting, keepalive: 10 });
  await subscribe(first, 'a', 1);
  wire.mood = 'stalls';
  const publisher = await connectRaw(broker.port, 4, { id: 'publisher' });
  for (const text of ['1', '2', '3']) await publish(publisher, 'a', text);
  await eventually(() => expect(broker.source.clients).toBe(1));
  await publish(publisher, 'a', '4');
  const second = await connectRaw(broker.port, 5, lasting);
  expect(await payloads(second)).toEqual(['1', '2', '3', '4']);
});

test('who vanishes before its CONNECT is whole is closed in time', async () => {
  const broker = await openTestBroker({ clock: createFastClock(10) });
  const wire = await wireTo(broker.port);
  await socketTo(wire.port);
  const half = await socketTo(wire.port);
  half.write(Buffer.from([0x10, 0x40, 0, 4, 0x4d, 0x51, 0x54, 0x54, 5]));
  wire.mood = 'stalls';
  await eventually(async () => expect(await broker.count('brokerRefused', 'timeout')).toBe(2));
});

/** Connections to the port, as the side that listens has them: the milliseconds to their next probe. */
function probesOf(port: number): number[] {
  const rows = readFileSync('/proc/net/tcp', 'latin1').trim().split('\n').slice(1);
  return rows.flatMap((row) => {
    const [, local, , state, , timer] = row.trim().split(/\s+/) as string[];
    const [kind, jiffies] = timer!.split(':') as [string, string];
    const isOurs = Number.parseInt(local!.split(':')[1]!, 16) === port && state === '01';
    // 02: the timer that keeps alive, in hundredths of a second.
    return isOurs && kind === '02' ? [Number.parseInt(jiffies, 16) * 10] : [];
  });
}

test.runIf(existsSync('/proc/net/tcp')).for(['tcp', 'websocket'] as const)(
  'of a client without a keep-alive the system finds out: %s',
  async (transport) => {
    const broker = await openTestBroker({ options: { listeners: [{ port: 0, transport }] } });
    await socketTo(broker.port);
    const [probe] = await eventually(() => {
      const probes = probesOf(broker.port);
      expect(probes).toHaveLength(1);
      return probes;
    });
    expect(probe).toBeGreaterThan(0);
    expect(probe).toBeLessThanOrEqual(60_000);
  },
);
