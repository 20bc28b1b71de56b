import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { expect, test } from 'vitest';
import { eventually, freePort, temporaryFolder } from '../services/child.ts';
import { startHttpReceiver } from '../sink/http-receiver.ts';
import { type Program, ready, startProgram } from './process/program.ts';

async function audit(config: string) {
  const program = await startProgram('tidegate', ['audit', '--recount', '--json', '-c', config]);
  const { code } = await program.ended;
  expect(code, program.stdout + program.stderr).toBe(0);
  return JSON.parse(program.stdout);
}

async function publish(port: number, from: number, to: number): Promise<void> {
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5 });
  for (let seq = from; seq < to; seq++) {
    await client.publishAsync('sensors/d1/climate', JSON.stringify({ seq }), { qos: 1 });
  }
  await client.endAsync();
}

test('the books balance while the gateway runs, after kill -9, and when it has delivered', async () => {
  const folder = await temporaryFolder('audit');
  const receiver = await startHttpReceiver();
  const [port, adminPort] = [await freePort(), await freePort()];
  const config = join(folder, 'tidegate.yaml');
  await writeFile(
    config,
    `
data: { dir: ${join(folder, 'data')} }
broker: { listeners: [{ port: ${port}, host: 127.0.0.1 }] }
admin: { listen: '127.0.0.1:${adminPort}' }
sinks:
  hook:
    kind: http
    url: '${receiver.url}/hook'
    select: { type: reading }
    retry: { minMs: 50, maxMs: 200 }
`,
  );
  let gateway: Program | undefined;
  const start = async (): Promise<void> => {
    gateway = await startProgram('tidegate', ['run', '--config', config], { cwd: folder });
    await ready(gateway, adminPort);
  };
  const kill = async (): Promise<void> => {
    gateway?.child.kill('SIGKILL');
    await gateway?.ended;
  };
  try {
    await start();
    await publish(port, 0, 20);
    await eventually(async () => {
      expect((await audit(config)).total).toMatchObject({ delivered: 20, waiting: 0 });
    }, 20_000);
    await receiver.gone();
    await publish(port, 20, 50);
    expect(await audit(config)).toMatchObject({
      isRunning: true,
      total: { received: 50, delivered: 20, waiting: 30, difference: 0 },
    });
    await kill();
    // What was delivered in the last second before a kill may not be on the books yet.
    const { isRunning, total } = await audit(config);
    expect(isRunning).toBe(false);
    expect(total).toMatchObject({ received: 50, difference: 0 });
    expect(total.waiting).toBeGreaterThanOrEqual(30);
    expect(total.waiting + total.delivered).toBe(50);
    await start();
    await kill();
    await receiver.back();
    await start();
    await eventually(async () => {
      expect(await audit(config)).toMatchObject({
        isRunning: true,
        total: { received: 50, delivered: 50, waiting: 0, dropped: 0, difference: 0 },
      });
    }, 20_000);
  } finally {
    await kill();
    await receiver.gone();
    await rm(folder, { recursive: true, force: true });
  }
}, 120_000);
