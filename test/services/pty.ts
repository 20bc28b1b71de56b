import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { SerialPort } from 'serialport';
import { type RunningService, startService, temporaryFolder } from './child.ts';

/** Two pseudo-terminals, joined by socat: what is written to the board's comes out of the port. */
export interface SerialLine extends RunningService {
  /** What a gateway opens, as if a board were plugged in. */
  readonly port: string;
  /** Writes as the board. */
  send(bytes: Uint8Array | string): Promise<void>;
  /** What the board was sent since it was plugged in. */
  received(): Buffer;
  /** Pulls the board out. */
  unplug(): Promise<void>;
  /** Plugs it in again, under the same path. */
  plug(): Promise<void>;
}

/** Ask `available('socat')` first. */
export async function startSerialLine(): Promise<SerialLine> {
  const folder = await temporaryFolder('serial');
  const port = join(folder, 'port');
  const board = join(folder, 'board');
  const service = await startService({
    name: 'socat',
    program: 'socat',
    args: [`PTY,link=${port},raw,echo=0`, `PTY,link=${board},raw,echo=0`],
    folder,
    probe: async () => {
      if (!existsSync(port) || !existsSync(board)) throw new Error('The terminals are not there.');
    },
  });
  let end = await openBoard(board);
  return Object.assign(service, {
    port,
    send: (bytes: Uint8Array | string) => end.send(bytes),
    received: () => end.received(),
    async unplug() {
      await end.close();
      await service.kill();
    },
    async plug() {
      await service.restart();
      end = await openBoard(board);
    },
  });
}

async function openBoard(path: string) {
  const board = new SerialPort({ path, baudRate: 115_200, lock: false, autoOpen: false });
  const chunks: Buffer[] = [];
  board.on('data', (chunk: Buffer) => chunks.push(chunk));
  board.on('error', () => undefined);
  await promisify(board.open.bind(board) as Method)();
  return {
    async send(bytes: Uint8Array | string) {
      board.write(Buffer.from(bytes as string));
      await promisify(board.drain.bind(board) as Method)();
    },
    received: () => Buffer.concat(chunks),
    async close() {
      if (board.isOpen) await promisify(board.close.bind(board) as Method)().catch(() => undefined);
    },
  };
}
type Method = (done: (error: Error | null) => void) => void;
