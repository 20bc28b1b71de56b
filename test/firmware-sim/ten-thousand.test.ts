import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { loadavg } from 'node:os';
import { expect, test } from 'vitest';
import { startProgram } from '../e2e/process/program.ts';
import { eventually } from '../services/child.ts';

const devices = 10_000;
const rssMax = 300 * 2 ** 20;

/** Why this machine cannot hold so many connections, if it cannot. */
function hindrance(): string | undefined {
  if (process.platform !== 'linux') return 'the memory of a process is read from /proc';
  const limits = readFileSync('/proc/self/limits', 'utf8');
  const open = Number(/Max open files\s+(\d+)/.exec(limits)?.[1] ?? 0);
  return open < devices + 500 ? `only ${open} files may be open; ulimit -n 20000` : undefined;
}

/** A server that accepts and acknowledges, and does nothing else, so that it costs next to nothing. */
async function openAcknowledger() {
  const sockets = new Set<Socket>();
  let mostConnected = 0;
  const server = createServer({ noDelay: true }, (socket) => {
    let rest: Buffer = Buffer.alloc(0);
    sockets.add(socket);
    mostConnected = Math.max(mostConnected, sockets.size);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (chunk) => {
      rest = answered(socket, Buffer.concat([rest, chunk]));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', 4_096, resolve));
  return {
    port: (server.address() as AddressInfo).port,
    get mostConnected() {
      return mostConnected;
    },
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** The bytes that are no whole packet yet. Its packets are shorter than 16 KiB. */
function answered(socket: Socket, bytes: Buffer): Buffer {
  for (let from = 0; ; ) {
    const isLong = (bytes[from + 1] ?? 0) > 127;
    const head = isLong ? 3 : 2;
    if (bytes.length < from + head) return bytes.subarray(from);
    const length = (bytes[from + 1]! & 127) + (isLong ? bytes[from + 2]! * 128 : 0);
    if (bytes.length < from + head + length) return bytes.subarray(from);
    const kind = bytes[from]! >> 4;
    if (kind === 1) socket.write(Buffer.of(0x20, 2, 0, 0));
    else if (kind === 3) {
      const id = from + head + 2 + bytes.readUInt16BE(from + head);
      socket.write(Buffer.of(0x40, 2, bytes[id]!, bytes[id + 1]!));
    }
    from += head + length;
  }
}

test('10,000 devices with a connection each, a message every 10 s, are one process below 300 MB', async (context) => {
  const why = hindrance();
  if (why !== undefined) {
    console.log(`skipped: ${why}`);
    context.skip();
  }
  const server = await openAcknowledger();
  const url = `mqtt://127.0.0.1:${server.port}`;
  const fleet = await startProgram('tidegate-fleet', [
    ...['--url', url, '--devices', `${devices}`, '--rate', '0.1', '--duration', '10', '--json'],
    ...['--grace', '30'],
  ]);
  try {
    let peak = 0;
    const peakOf = (): number => {
      const status = readFileSync(`/proc/${fleet.child.pid}/status`, 'latin1');
      return 1_024 * Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0);
    };
    await eventually(() => {
      if (fleet.child.exitCode === null) peak = Math.max(peak, peakOf());
      expect(fleet.child.exitCode).not.toBeNull();
    }, 110_000);
    expect((await fleet.ended).code).toBe(0);
    expect(JSON.parse(fleet.stdout)).toMatchObject({
      connections: devices,
      acknowledged: devices,
      lost: 0,
    });
    expect(server.mostConnected).toBe(devices);
    console.log(
      `10,000 devices: ${Math.round(peak / 2 ** 20)} MB at most (load ${loadavg()[0]!.toFixed(1)})`,
    );
    expect(peak).toBeGreaterThan(30 * 2 ** 20);
    expect(peak).toBeLessThan(rssMax);
  } finally {
    fleet.child.kill('SIGKILL');
    server.close();
  }
}, 120_000);
