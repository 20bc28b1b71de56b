import { afterAll, expect, test } from 'vitest';
import { available, connectable, type RunningService } from './child.ts';
import { startInfluxDb } from './influxdb.ts';
import { startMosquitto } from './mosquitto.ts';

const started: RunningService[] = [];
afterAll(async () => {
  await Promise.all(started.map((service) => service.stop()));
});

test.skipIf(!available('influxd'))(
  'a real InfluxDB keeps its port and data through kill and restart, and hangs when paused',
  async () => {
    const influx = await startInfluxDb();
    started.push(influx);
    await influx.query('CREATE DATABASE kept');
    await fetch(`${influx.url}/write?db=kept`, { method: 'POST', body: 'm v=1 5' });
    await influx.kill();
    await expect(fetch(`${influx.url}/ping`)).rejects.toThrow();
    await influx.restart();
    expect(await influx.rows('kept', 'm')).toEqual([{ time: 5, v: 1 }]);
    await influx.pause();
    await expect(
      fetch(`${influx.url}/ping`, { signal: AbortSignal.timeout(200) }),
    ).rejects.toThrow();
    influx.resume();
    expect((await fetch(`${influx.url}/ping`)).status).toBe(204);
  },
);

test.skipIf(!available('mosquitto'))('a real Mosquitto comes back on its port', async () => {
  const mosquitto = await startMosquitto();
  started.push(mosquitto);
  await mosquitto.terminate();
  await expect(connectable(mosquitto.port)).rejects.toThrow();
  await mosquitto.restart();
  await connectable(mosquitto.port);
});

test('a program that is not there is an error only where services are required', () => {
  const before = process.env.TIDEGATE_REQUIRE_SERVICES;
  try {
    process.env.TIDEGATE_REQUIRE_SERVICES = '1';
    expect(() => available('no-such-server')).toThrow('no-such-server is not installed');
    process.env.TIDEGATE_REQUIRE_SERVICES = '';
    expect(available('no-such-server')).toBe(false);
  } finally {
    if (before === undefined) delete process.env.TIDEGATE_REQUIRE_SERVICES;
    else process.env.TIDEGATE_REQUIRE_SERVICES = before;
  }
});
