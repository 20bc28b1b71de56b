import { existsSync, symlinkSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { SerialPort } from 'serialport';
import { afterEach, expect, test } from 'vitest';
import { openPseudoTerminal } from '../../firmware-sim/pseudo-terminal.ts';
import { eventually, temporaryFolder } from '../services/child.ts';

const path = process.env.PATH;
const ends: (() => unknown)[] = [];
afterEach(async () => {
  process.env.PATH = path;
  for (const end of ends.splice(0).reverse()) await end();
});

/** Lets only these programs be found. */
async function onlyWith(...programs: readonly string[]): Promise<void> {
  const folder = await temporaryFolder('path');
  ends.push(() => rm(folder, { recursive: true }));
  for (const program of programs) symlinkSync(program, join(folder, program.split('/').at(-1)!));
  process.env.PATH = folder;
}

test.for(['/usr/bin/socat', '/usr/bin/python3'])(
  'with %s alone there is a serial line, and what is written to one end comes out of the other',
  async (program, context) => {
    if (!existsSync(program)) {
      console.log(`skipped: there is no ${program}.`);
      context.skip();
    }
    await onlyWith('/bin/sh', program);
    const line = await openPseudoTerminal();
    ends.push(() => line.close());
    const port = new SerialPort({ path: line.port, baudRate: 9_600, lock: false });
    const board = new SerialPort({ path: line.board, baudRate: 9_600, lock: false });
    ends.push(...[port, board].map((each) => () => new Promise((ended) => each.close(ended))));
    let heard = '';
    port.on('data', (chunk: Buffer) => {
      heard += chunk.toString('hex');
    });
    board.write(Buffer.from('0d0aff00c0', 'hex'));
    await eventually(() => expect(heard).toBe('0d0aff00c0'));
  },
);

test('without any of them the reason is told', async () => {
  await onlyWith();
  await expect(openPseudoTerminal()).rejects.toThrow('neither socat nor python3');
  await onlyWith('/bin/sh');
  await expect(openPseudoTerminal()).rejects.toThrow('neither socat nor python3');
});
