/**
 * The disk of the real gateway is full, then read-only, then checked by the operator, while devices are
 * connected: they are told no lies and stay connected, and the same process goes on when it can.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createGatewayProcess, type GatewayProcess } from '../chaos/gateway.ts';
import { type Image, imageImpossible, openImage } from '../chaos/image.ts';
import {
  createLedger,
  type Ledger,
  openPublisher,
  type Publisher,
  possible,
} from '../chaos/publisher.ts';
import { exportedBy, problemsOf } from '../chaos/recorded.ts';
import { eventually, temporaryFolder } from '../services/child.ts';
import { metricsOf } from './process/program.ts';

const canMount = possible('A disk that becomes read-only', imageImpossible());
const textBytes = 120;
const settings = `log: { maxBytes: 32MiB, whenFull: refuseNew }
ingest: [{ topic: 'sensors/{device}/{measurement}', codec: json, identity: [seq] }]
sinks: { hook: { kind: http, url: 'http://127.0.0.1:9/' } }
`;

interface Client {
  readonly ledger: Ledger;
  readonly publisher: Publisher;
}
interface Subject {
  readonly gateway: GatewayProcess;
  readonly image: Image;
  readonly clients: readonly Client[];
}

async function openClients({ port }: GatewayProcess): Promise<Client[]> {
  return await Promise.all(
    ([4, 5] as const).map(async (protocol) => {
      const ledger = createLedger();
      // Each its own numbers, so that both can be told apart in one log.
      ledger.next = protocol * 1_000_000;
      const publisher = await openPublisher({
        ...{ port, ledger, protocol, textBytes, clientId: `client-${protocol}` },
        // Closes by itself when it is not answered for a second and a half.
        ...{ windowMessages: 20, pauseMs: 10, keepalive: 1 },
      });
      return { ledger, publisher };
    }),
  );
}

const healthOf = async ({ adminPort }: GatewayProcess) => {
  const answer = await fetch(`http://127.0.0.1:${adminPort}/healthz`);
  return { status: answer.status, text: await answer.text() };
};

const acknowledgedBy = (clients: readonly Client[]): number[] =>
  clients.map(({ ledger }) => ledger.acknowledged.size);

async function expectProgress({ clients }: Subject): Promise<void> {
  const before = acknowledgedBy(clients);
  await eventually(() => {
    acknowledgedBy(clients).forEach((count, i) => {
      expect(count).toBeGreaterThan(before[i]! + 50);
    });
  }, 20_000);
}

/** A disk that is full and has room again for a moment: nobody has a file of it open to write to. */
async function remountReadOnly({ gateway, image }: Subject): Promise<void> {
  for (let attempt = 1; attempt <= 10; attempt++) {
    await image.fill();
    await eventually(async () => expect((await healthOf(gateway)).status).toBe(503), 20_000);
    await image.free();
    if (await image.remount('ro')) return;
  }
  throw new Error('The disk could not be remounted read-only.');
}

/** Nothing can be written: nobody is answered, nobody is sent away, and the reason is to be had. */
async function expectHeld(subject: Subject, reason: RegExp): Promise<void> {
  const { gateway, clients } = subject;
  await eventually(async () => {
    const { status, text } = await healthOf(gateway);
    expect(status).toBe(503);
    expect(text).toMatch(reason);
  }, 20_000);
  const before = acknowledgedBy(clients);
  // Longer than the clients would wait for the answer to a ping.
  await sleep(2_500);
  expect(acknowledgedBy(clients)).toEqual(before);
  expect(clients.map(({ publisher }) => publisher.connected)).toEqual([true, true]);
  expect((await metricsOf(gateway.adminPort)).get('tidegate_log_blocked')).toBe(1);
}

test.runIf(canMount)(
  'on a disk that is full, remounted read-only and back, nobody is told a lie or sent away, and the same process goes on',
  async () => {
    const folder = await temporaryFolder('read-only');
    const image = await openImage(folder, 64);
    const dataDir = join(image.folder, 'data');
    await mkdir(dataDir);
    const gateway = await createGatewayProcess({ folder, dataDir, settings });
    try {
      await gateway.start();
      const subject = { gateway, image, clients: await openClients(gateway) };
      const { pid } = gateway;
      await expectProgress(subject);

      await image.fill();
      await expectHeld(subject, /ENOSPC/);
      await remountReadOnly(subject);
      await expectHeld(subject, /EROFS/);
      expect(await image.remount('rw')).toBe(true);
      await expectProgress(subject);

      expect((await healthOf(gateway)).status).toBe(200);
      expect(gateway.program!.child.exitCode, gateway.program!.stderr).toBe(null);
      expect(gateway.pid).toBe(pid);
      for (const { publisher } of subject.clients) publisher.stop();
      await eventually(() => {
        for (const { publisher } of subject.clients) {
          expect(publisher.unsettled).toBe(0);
          expect(publisher.connected).toBe(true);
        }
      }, 20_000);
      await expectAllThere(subject);
      expect(gateway.program!.stderr.match(/Events cannot be appended/g)!.length).toBeLessThan(20);
    } finally {
      await gateway.kill();
      await image.close();
      await rm(folder, { recursive: true, force: true });
    }
  },
  120_000,
);

test.runIf(canMount)(
  'a disk that the kernel takes away keeps everybody waiting; it is checked while the gateway is stopped',
  async () => {
    const folder = await temporaryFolder('read-only-kernel');
    const image = await openImage(folder, 64);
    const dataDir = join(image.folder, 'data');
    await mkdir(dataDir);
    const gateway = await createGatewayProcess({ folder, dataDir, settings });
    try {
      await gateway.start();
      const subject = { gateway, image, clients: await openClients(gateway) };
      await expectProgress(subject);
      if (!(await image.failReadOnly())) {
        process.stderr.write('This kernel does not fail a file system on demand: left out.\n');
        return;
      }
      if (await endsByItself(subject)) {
        // The disk went in the middle of a sync: what is on it only a new start can tell.
        expect(gateway.program!.child.exitCode).toBe(1);
        expect(gateway.program!.stderr).toMatch(/EIO|EROFS/);
      } else {
        await expectHeld(subject, /EROFS/);
        expect(await gateway.stop(), gateway.program!.stderr).toBe(0);
      }
      await image.repair();
      await gateway.start();
      await expectAllThere(subject);
    } finally {
      await gateway.kill();
      await image.close();
      await rm(folder, { recursive: true, force: true });
    }
  },
  120_000,
);

/** Whether the gateway ends, rather than says that it waits. */
async function endsByItself({ gateway }: Subject): Promise<boolean> {
  return await eventually(async () => {
    if (gateway.program!.child.exitCode !== null) return true;
    expect((await healthOf(gateway)).status).toBe(503);
    return false;
  }, 20_000);
}

async function expectAllThere({ gateway, clients }: Subject): Promise<void> {
  for (const { publisher } of clients) await publisher.end();
  const found = await exportedBy(gateway);
  const acknowledged = clients.flatMap(({ ledger }) => [...ledger.acknowledged]);
  const all = { sent: new Set(clients.flatMap(({ ledger }) => [...ledger.sent])) } as Ledger;
  expect(problemsOf(new Set(acknowledged), all, found, textBytes)).toEqual([]);
  const { code, stderr } = await gateway.command('log', 'verify');
  expect(code, stderr).toBe(0);
}
