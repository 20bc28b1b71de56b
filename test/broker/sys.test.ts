import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { connectAsync } from 'mqtt';
import { afterEach, expect, test } from 'vitest';
import { Load } from '../../src/broker/load.ts';
import { Sys, type SysFigures } from '../../src/broker/sys.ts';
import { Traffic } from '../../src/broker/traffic.ts';
import { available, eventually } from '../services/child.ts';
import { startMosquitto } from '../services/mosquitto.ts';
import { SimClock } from '../sim/clock.ts';
import { connectRaw, openTestBroker, publishPacket, stopAll } from './harness.ts';

const open: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const { stop } of open.splice(0)) await stop();
  await stopAll();
});

/** Everything retained below `$SYS` at a broker. */
async function sysOf(url: string, enough: (got: Map<string, string>) => void) {
  const client = await connectAsync(url);
  const got = new Map<string, string>();
  client.on('message', (topic, payload) => got.set(topic, `${payload}`));
  await client.subscribeAsync('$SYS/broker/#');
  await eventually(() => enough(got));
  await client.endAsync();
  return got;
}

test('what the broker counts stands in $SYS, current soon after somebody subscribes', async () => {
  const broker = await openTestBroker();
  const device = await connectRaw(broker.port, 4, { id: 'device' });
  for (let id = 1; id <= 7; id++) device.send(publishPacket('abc', 'x'.repeat(10), 1, id));
  for (let id = 1; id <= 7; id++) await device.next('puback');
  const got = await sysOf(broker.url, (got) => expect(got.size).toBeGreaterThanOrEqual(40));
  const number = (topic: string) => Number(got.get(`$SYS/broker/${topic}`));
  expect(got.get('$SYS/broker/version')).toBe('tidegate version 1.2.3');
  expect(got.get('$SYS/broker/uptime')).toMatch(/^\d+ seconds$/);
  expect(number('clients/connected')).toBe(2);
  expect(number('clients/maximum')).toBe(2);
  expect(number('publish/messages/received')).toBe(7);
  expect(number('publish/bytes/received')).toBe(7 * 13);
  expect(number('messages/received')).toBeGreaterThanOrEqual(10);
  expect(number('bytes/received')).toBeGreaterThan(7 * 17);
  expect(number('bytes/sent')).toBeGreaterThan(7 * 4);
  expect(number('subscriptions/count')).toBeGreaterThanOrEqual(1);
  expect(number('load/publish/received/1min')).toBeGreaterThan(0);
  expect(broker.messages.every(({ topic }) => topic === 'abc')).toBe(true);
});

const isInstalled = available('mosquitto');
test.skipIf(!isInstalled)(
  `every name in $SYS is one that Mosquitto has${isInstalled ? '' : ' (not installed)'}`,
  async () => {
    const mosquitto = await startMosquitto({ lines: ['sys_interval 1'] });
    open.push(mosquitto);
    const broker = await openTestBroker();
    const ours = await sysOf(broker.url, (got) => expect(got.size).toBeGreaterThanOrEqual(40));
    const missing = (theirs: Map<string, string>) =>
      [...ours.keys()].filter((topic) => !theirs.has(topic));
    // Mosquitto publishes some only when they change for the first time.
    await sysOf(mosquitto.url, (theirs) =>
      expect(missing(theirs).filter((topic) => !/dropped/.test(topic))).toEqual([]),
    );
  },
);

const hasSub = available('mosquitto_sub');
test.skipIf(!hasSub)(
  `mosquitto_sub gets current figures at once, one topic or all${hasSub ? '' : ' (not installed)'}`,
  async () => {
    const broker = await openTestBroker();
    const sub = async (topic: string, count: number) => {
      const options = ['-p', `${broker.port}`, '-v', '-t', topic, '-C', `${count}`, '-W', '20'];
      return (await promisify(execFile)('mosquitto_sub', options)).stdout;
    };
    expect(await sub('$SYS/broker/clients/connected', 1)).toBe('$SYS/broker/clients/connected 1\n');
    expect(await sub('$SYS/broker/load/+/+/1min', 6)).toMatch(/^(\$SYS\/\S+ \d+\.\d\d\n){6}$/);
  },
);

/** A `Sys` that says who wants what, and what it published. */
function createSys(intervalMs: number) {
  const clock = new SimClock();
  const state = { wanted: '', version: 0, counted: 0, published: new Map<string, string>() };
  const figures: SysFigures = {
    totals: { ...new Traffic(), bytesIn: 0, bytesOut: 0 },
    ...{ connections: 0, connected: 0, connectedMax: 0, away: 0, subscriptions: 0, retained: 0 },
  };
  const sys = new Sys({
    ...{ version: '1', intervalMs, clock },
    figures: () => {
      state.counted += 1;
      return figures;
    },
    wants: (topic) => topic === state.wanted,
    isBehind: () => false,
    subscriptionsVersion: () => state.version,
    publish: (topic, text) => state.published.set(topic, text),
  });
  return { sys, state, figures, clock };
}

test('while nobody subscribes to $SYS nothing is computed', async () => {
  const { sys, state, clock } = createSys(10_000);
  for (let second = 0; second < 100; second++) {
    state.version += 1;
    sys.look();
    await clock.advance(1000);
  }
  expect([state.counted, state.published.size]).toEqual([0, 0]);
  state.wanted = '$SYS/broker/uptime';
  state.version += 1;
  sys.look();
  expect(state.published.get('$SYS/broker/uptime')).toBe('100 seconds');
  state.published.clear();
  for (let second = 0; second < 100; second++) {
    sys.look();
    await clock.advance(1000);
  }
  expect(state.counted).toBe(10);
  // Only what has changed.
  expect([...state.published]).toEqual([['$SYS/broker/uptime', '190 seconds']]);
});

test('when the last subscriber has gone nobody gets old figures', () => {
  const { sys, state } = createSys(10_000);
  state.wanted = '$SYS/broker/uptime';
  state.version += 1;
  sys.look();
  state.wanted = '';
  state.version += 1;
  sys.look();
  expect(new Set(state.published.values())).toEqual(new Set(['']));
});

test('a load is the average of the last minutes, however often it is looked at', () => {
  const often = new Load(5);
  const seldom = new Load(5);
  for (let minute = 0; minute < 30; minute++) {
    for (let n = 0; n < 6; n++) often.add(10, 10_000);
    seldom.add(60, 60_000);
  }
  expect(seldom.perMinute).toBeCloseTo(60 * (1 - Math.exp(-6)), 6);
  expect(often.perMinute).toBeCloseTo(seldom.perMinute, 6);
  often.add(0, 0);
  expect(often.perMinute).toBeCloseTo(seldom.perMinute, 6);
});
