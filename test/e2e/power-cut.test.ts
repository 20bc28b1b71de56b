/**
 * The power goes at moments drawn from a seed while a device is being acknowledged. What a cut leaves
 * is a copy of the raw disk: what is only in memory is not in it. The gateway is started on the copy.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/platform/random.ts';
import { faultsImpossible, openFaults } from '../chaos/fault.ts';
import { createGatewayProcess, type GatewayProcess } from '../chaos/gateway.ts';
import { imageImpossible, openImage } from '../chaos/image.ts';
import { createLedger, type Ledger, openPublisher, possible } from '../chaos/publisher.ts';
import { exportedBy, problemsOf } from '../chaos/recorded.ts';
import { eventually, temporaryFolder } from '../services/child.ts';

const cuts = Number(process.env.TIDEGATE_CUTS ?? 20);
const seed = Number(process.env.TIDEGATE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const textBytes = 120;
const settings = `log: { maxBytes: 16MiB, whenFull: refuseNew }
ingest: [{ topic: 'sensors/{device}/{measurement}', codec: json, identity: [seq] }]
`;

const canCut = possible('A power cut', imageImpossible());
const canLie = canCut && possible('A disk that lies about syncs', faultsImpossible());

interface Life {
  readonly ledger: Ledger;
  readonly random: { next(): number };
}

/** Sends until the power goes; returns what had been acknowledged by then. */
async function liveUntilKilled(gateway: GatewayProcess, { ledger, random }: Life) {
  const before = ledger.acknowledged.size;
  const publisher = await openPublisher({
    port: gateway.port,
    ledger,
    protocol: random.next() < 0.5 ? 4 : 5,
    windowMessages: 1 + Math.floor(random.next() ** 2 * 200),
    textBytes,
    messagesMax: Math.floor(40_000 / cuts),
  });
  // On a machine that is busy the first acknowledgement may take longer than the life would.
  await eventually(() => expect(ledger.acknowledged.size).toBeGreaterThan(before));
  await sleep(random.next() * 400);
  await gateway.kill();
  // What was on its way when the process died still counts.
  await publisher.closed;
  return new Set(ledger.acknowledged);
}

test.runIf(canCut)(
  `nothing acknowledged is missing after ${cuts} power cuts, and nothing is there twice (TIDEGATE_SEED=${seed})`,
  async () => {
    const folder = await temporaryFolder('power-cut');
    const image = await openImage(folder, 64);
    const life: Life = { ledger: createLedger(), random: seededRandom(seed) };
    const dataDir = join(image.folder, 'data');
    const gateway = await createGatewayProcess({ folder, dataDir, settings });
    try {
      await gateway.start();
      for (let count = 0; count < cuts; count++) {
        const acknowledged = await liveUntilKilled(gateway, life);
        await image.cutPower();
        await gateway.start();
        const found = await exportedBy(gateway);
        const problems = problemsOf(acknowledged, life.ledger, found, textBytes);
        expect(problems.slice(0, 5), `cut ${count + 1}: ${problems.length} problems`).toEqual([]);
      }
      const { code, stderr } = await gateway.command('log', 'verify');
      expect(code, stderr).toBe(0);
      expect(await gateway.stop()).toBe(0);
      expect(life.ledger.acknowledged.size).toBeGreaterThan(cuts * 20);
      process.stderr.write(
        `${cuts} power cuts, ${life.ledger.acknowledged.size} messages acknowledged, 0 missing\n`,
      );
    } finally {
      await gateway.kill();
      await image.close();
      await rm(folder, { recursive: true, force: true });
    }
  },
  60_000 + cuts * 12_000,
);

test.runIf(canLie)('the test sees what a disk that lies about syncs loses', async () => {
  const folder = await temporaryFolder('power-cut-canary');
  const image = await openImage(folder, 64);
  const dataDir = join(image.folder, 'data');
  const faults = await openFaults(folder, image.folder);
  const { environment } = faults;
  const gateway = await createGatewayProcess({ folder, dataDir, settings, environment });
  const life: Life = { ledger: createLedger(), random: seededRandom(seed) };
  try {
    await faults.inject({ operations: ['fsync', 'fdatasync'], error: 'lie' });
    await gateway.start();
    const acknowledged = await liveUntilKilled(gateway, life);
    expect(acknowledged.size).toBeGreaterThan(0);
    await image.cutPower();
    await faults.heal();
    await gateway.start();
    const problems = problemsOf(acknowledged, life.ledger, await exportedBy(gateway), textBytes);
    expect(problems.filter((problem) => problem.includes('missing'))).not.toEqual([]);
  } finally {
    await gateway.kill();
    await faults.close();
    await image.close();
    await rm(folder, { recursive: true, force: true });
  }
});
