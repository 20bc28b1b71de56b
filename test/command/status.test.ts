import { rm } from 'node:fs/promises';
import { connectAsync } from 'mqtt';
import { expect, test } from 'vitest';
import { ready, startProgram } from '../e2e/process/program.ts';
import { eventually, freePort, temporaryFolder } from '../services/child.ts';

test('whoever watches tidegate/status sees one gateway: online since one time, then offline', async () => {
  const folder = await temporaryFolder('status');
  const [port, admin] = [await freePort(), await freePort()];
  const environment = {
    TIDEGATE_BROKER_LISTENERS_0_PORT: String(port),
    TIDEGATE_ADMIN_LISTEN: `127.0.0.1:${admin}`,
    TIDEGATE_SINKS_OUT_KIND: 'console',
  };
  const program = await startProgram('tidegate', ['run'], { cwd: folder, environment });
  try {
    await ready(program, admin);
    const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0 });
    const seen: Record<string, unknown>[] = [];
    client.on('message', (_topic, payload) => seen.push(JSON.parse(String(payload))));
    await client.subscribeAsync('tidegate/status');
    await eventually(() => expect(seen).toHaveLength(1), 5_000);
    program.child.kill('SIGTERM');
    await program.ended;
    expect(seen.map(({ state }) => state)).toEqual(['online', 'offline']);
    expect(seen[0]!.lag).toHaveProperty('out/readings');
    expect(new Set(seen.map(({ since }) => since)).size).toBe(1);
    expect(seen[1]).toEqual({ ...seen[0], state: 'offline', lag: {} });
    await client.endAsync(true);
  } finally {
    program.child.kill('SIGKILL');
    await program.ended;
    await rm(folder, { recursive: true });
  }
}, 30_000);
