/**
 * A replay by the real command from the real gateway: its bar on a terminal, its silence in a pipe, and
 * what becomes of it when the gateway is killed in the middle of it.
 */
import { spawn } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createGatewayProcess, type GatewayProcess } from '../chaos/gateway.ts';
import { available, eventually, temporaryFolder } from '../services/child.ts';
import { builtTidegate } from './process/build.ts';

const count = 60;

let folder: string;
let server: Server;
let gateway: GatewayProcess;
/** Events that the far side was given, by id; how often, and whether as replayed. */
let taken: Map<string, { live: number; replayed: number }>;

beforeEach(async () => {
  folder = await temporaryFolder('replay');
  taken = new Map();
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      // It is asked whether it is there, too.
      const text = Buffer.concat(chunks).toString();
      for (const event of text === '' ? [] : JSON.parse(text)) {
        if (event.type !== 'io.tidegate.reading.v1') continue;
        const seen = taken.get(event.id) ?? { live: 0, replayed: 0 };
        if (event.replayed === 'true' || event.replayed === true) seen.replayed++;
        else seen.live++;
        taken.set(event.id, seen);
      }
      response.writeHead(204).end();
    });
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  gateway = await createGatewayProcess({
    folder,
    dataDir: join(folder, 'data'),
    settings: `sinks: { hook: { kind: http, url: 'http://127.0.0.1:${port}/' } }\n`,
  });
  await gateway.start();
  const client = await connectAsync(`mqtt://127.0.0.1:${gateway.port}`);
  for (let n = 0; n < count; n++) {
    await client.publishAsync(`sensors/gh-${n % 3}/climate`, JSON.stringify({ n }), { qos: 1 });
  }
  await client.endAsync();
  await eventually(() => expect(taken.size).toBe(count), 20_000);
});
afterEach(async () => {
  await gateway.kill();
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true, force: true });
});

const replayedCount = (): number =>
  [...taken.values()].filter(({ replayed }) => replayed > 0).length;

/** On a terminal of 100 columns, or in a pipe; resolves with all that was said and the exit status. */
async function tidegate(words: readonly string[], where: 'terminal' | 'pipe') {
  const all = [process.execPath, await builtTidegate(), ...words];
  const command = all.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
  const [program, args] =
    where === 'terminal'
      ? ['script', ['-qefc', `stty cols 100; ${command}`, '/dev/null']]
      : ['sh', ['-c', `${command} 2>&1`]];
  const child = spawn(program as string, args as string[], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH ?? '', TERM: 'xterm' },
  });
  let said = '';
  child.stdout.on('data', (chunk) => {
    // The escape character by a name that can be read: ␛.
    said += String(chunk).replaceAll(String.fromCharCode(27), '␛');
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  return { said: () => said, ended };
}

const isThere = available('script');
if (!isThere) process.stderr.write('script is not installed: the bar on a terminal is left out.\n');

test.runIf(isThere)(
  'on a terminal a bar is drawn and removed; in a pipe nothing of it is seen',
  async () => {
    const words = ['replay', '--sink', 'hook', '--from', '1h', '--type', 'reading', '--rate', '40'];
    const shown = await tidegate(words, 'terminal');
    expect(await shown.ended, shown.said()).toBe(0);
    const bars = [...shown.said().matchAll(/\r␛\[K\[(#*)(\.*)\] (\d+) % {2}(\d+) delivered/g)];
    expect(bars.length, shown.said()).toBeGreaterThan(2);
    const shares = bars.map(([, , , share]) => Number(share));
    expect(shares).toEqual([...shares].sort((a, b) => a - b));
    expect(shares[0]).toBeLessThan(100);
    for (const [, done, left] of bars) expect(done!.length + left!.length).toBe(30);
    // The last thing drawn is taken away, and the outcome stays.
    const last = shown.said().slice(shown.said().lastIndexOf('␛[K') + 3);
    expect(last.trim()).toMatch(new RegExp(`^Done: ${count} events delivered to hook again\\.$`));
    expect(replayedCount()).toBe(count);

    const piped = await tidegate(words, 'pipe');
    expect(await piped.ended).toBe(0);
    expect(piped.said()).not.toMatch(/[\r␛]/);
    expect(piped.said()).not.toContain('%');
    expect(piped.said()).toContain(`Done: ${count} events delivered to hook again.`);
  },
);

test('a replay that the gateway does not survive goes on when it starts again, and can be looked at and cancelled', async () => {
  const words = ['replay', '--sink', 'hook', '--from', '1h', '--device', 'gh-*', '--rate', '10'];
  const shown = await tidegate([...words, '--type', 'reading'], 'pipe');
  await eventually(() => expect(replayedCount()).toBeGreaterThan(5), 20_000);
  await gateway.kill();
  expect(await shown.ended, shown.said()).toBe(1);
  expect(shown.said()).toContain('it goes on with the replay when it starts again');
  expect(shown.said()).not.toContain('defect');
  expect(replayedCount()).toBeLessThan(count);

  await gateway.start();
  await eventually(async () => {
    const status = await tidegate(['replay', '--status'], 'pipe');
    expect(await status.ended, status.said()).toBe(0);
    expect(status.said()).toMatch(
      /^hook: \d+ %, \d+ delivered, at most 10 a second, went on after a start$/m,
    );
  });
  await eventually(() => expect(replayedCount()).toBe(count), 30_000);
  expect([...taken.values()].every(({ live }) => live === 1)).toBe(true);

  const again = await tidegate([...words, '--rate', '1'], 'pipe');
  await eventually(async () => {
    const cancelled = await tidegate(['replay', '--cancel', '--sink', 'hook'], 'pipe');
    expect(await cancelled.ended, cancelled.said()).toBe(0);
    expect(cancelled.said()).toMatch(/^Cancelled: \d+ events had been delivered to hook again\.$/m);
  }, 20_000);
  expect(await again.ended).toBe(1);
  expect(again.said()).toContain('it was cancelled');
  const none = await tidegate(['replay', '--status'], 'pipe');
  expect(await none.ended).toBe(0);
  expect(none.said()).toContain('No replay is running.');
}, 120_000);
