/** The broker's snapshot is written seldom, and at a stop: every way in which that can fail then. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { connect, connectAsync, type MqttClient } from 'mqtt';
import { expect, test } from 'vitest';
import { type FaultError, faultsImpossible, type Operation, openFaults } from '../chaos/fault.ts';
import { createGatewayProcess } from '../chaos/gateway.ts';
import { possible } from '../chaos/publisher.ts';
import { eventually, temporaryFolder } from '../services/child.ts';

const canFail = possible('Faults of the disk', faultsImpossible());
const operations: readonly Operation[] = ['open', 'write', 'fdatasync', 'rename'];
const errors: readonly FaultError[] = ['EIO', 'ENOSPC', 'EROFS'];

test.runIf(canFail)(
  'a gateway that cannot write what its broker remembers stops in good order, and forgets nothing',
  { timeout: 180_000 },
  async () => {
    const folder = await temporaryFolder('broker-faults');
    const dataDir = join(folder, 'data');
    await mkdir(dataDir);
    const faults = await openFaults(folder, dataDir);
    const { environment } = faults;
    const gateway = await createGatewayProcess({ folder, dataDir, settings: '', environment });
    try {
      await gateway.start();
      const first = await takeUp(gateway.port, []);
      await first.subscribeAsync('cmd/#', { qos: 1 });
      await first.endAsync();
      for (const operation of operations) {
        for (const error of errors) {
          const text = `${operation} ${error}`;
          const publisher = await connectAsync(`mqtt://127.0.0.1:${gateway.port}`);
          await publisher.publishAsync('cmd/a', text, { qos: 1 });
          await publisher.endAsync();
          await faults.inject({
            operations: [operation],
            part: '/broker',
            error,
            pass: 0,
            times: 0,
          });
          expect(await gateway.stop(), text).toBe(0);
          expect(await faults.failed(), text).toBeGreaterThan(0);
          // Nor does it keep the next from starting.
          await gateway.start();
          await faults.heal();
          const heard: string[] = [];
          const client = await takeUp(gateway.port, heard);
          await eventually(() => expect(heard).toContain(text), 20_000);
          await client.endAsync();
        }
      }
    } finally {
      await gateway.kill();
      await faults.close();
      await rm(folder, { recursive: true, force: true });
    }
  },
);

/** The client is back, and hears what waited for it. */
async function takeUp(port: number, heard: string[]): Promise<MqttClient> {
  const client = connect(`mqtt://127.0.0.1:${port}`, {
    ...{ clientId: 'keeper', clean: false, reconnectPeriod: 0 },
  });
  client.on('message', (_, payload) => heard.push(String(payload)));
  await new Promise((resolve, reject) => {
    client.once('connect', resolve);
    client.once('error', reject);
  });
  return client;
}
