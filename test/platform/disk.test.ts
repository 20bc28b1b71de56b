import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { Disk } from '../../src/platform/disk.ts';
import { createFileDisk } from '../../src/platform/file-disk.ts';
import { seededRandom } from '../../src/platform/random.ts';
import { faultsImpossible, openFaults } from '../chaos/fault.ts';
import { imageImpossible, openImage } from '../chaos/image.ts';
import { possible } from '../chaos/publisher.ts';
import { builtTidegate } from '../e2e/process/build.ts';
import { SimDisk } from '../sim/disk.ts';

const folders: string[] = [];
const createFolder = async (): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'tidegate-disk-'));
  folders.push(folder);
  return folder;
};
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true });
});

const bytesOf = (text: string): Uint8Array => Buffer.from(text);
const textOf = (bytes: Uint8Array | undefined): string | undefined =>
  bytes && Buffer.from(bytes).toString();

describe.each<[string, () => Promise<Disk>]>([
  ['the disk of this machine', async () => createFileDisk(await createFolder())],
  ['the simulated disk', async () => new SimDisk()],
])('%s', (_, createDisk) => {
  test('keeps what is appended, and reads any piece of it', async () => {
    const disk = await createDisk();
    const file = await disk.open('log/a.seg');
    expect(file.size).toBe(0);
    await file.append(bytesOf('hello '));
    await file.append(bytesOf('world'));
    await file.sync();
    await disk.syncFolder('log');
    expect(file.size).toBe(11);
    expect(textOf(await file.read(4, 3))).toBe('o w');
    expect(textOf(await file.read(6, 100))).toBe('world');
    expect(textOf(await file.read(11, 5))).toBe('');
    expect(textOf(await disk.readPart('log/a.seg', 6, 3))).toBe('wor');
    expect(textOf(await disk.readPart('log/a.seg', 50, 3))).toBe('');
    expect(await disk.size('log/a.seg')).toBe(11);
    await file.close();
    const again = await disk.open('log/a.seg');
    expect(again.size).toBe(11);
    await again.append(bytesOf('!'));
    expect(textOf(await disk.read('log/a.seg'))).toBe('hello world!');
    await again.close();
  });

  test('cuts a file, and appends behind the cut', async () => {
    const disk = await createDisk();
    const file = await disk.open('a');
    await file.append(bytesOf('0123456789'));
    await file.truncate(4);
    expect(file.size).toBe(4);
    await file.append(bytesOf('x'));
    await file.sync();
    expect(textOf(await disk.read('a'))).toBe('0123x');
    await file.close();
  });

  test('makes room ahead, which is zeros until it is written, and counts when opened again', async () => {
    const disk = await createDisk();
    const file = await disk.open('a');
    await file.append(bytesOf('one'));
    await file.extend(8);
    await file.extend(5);
    expect(file.size).toBe(3);
    expect(await disk.size('a')).toBe(8);
    await file.append(bytesOf('two'));
    await file.sync();
    expect(textOf(await disk.read('a'))).toBe('onetwo\0\0');
    await file.append(bytesOf('three'));
    expect(textOf(await disk.read('a'))).toBe('onetwothree');
    await file.extend(20);
    await file.close();
    const again = await disk.open('a');
    expect(again.size).toBe(20);
    await again.truncate(11);
    await again.append(bytesOf('!'));
    expect(textOf(await disk.read('a'))).toBe('onetwothree!');
    await again.close();
  });

  test('says that what is missing is missing', async () => {
    const disk = await createDisk();
    expect(await disk.list('nowhere')).toEqual([]);
    expect(await disk.read('nothing')).toBe(undefined);
    expect(await disk.readPart('nothing', 0, 1)).toBe(undefined);
    expect(await disk.size('nothing')).toBe(undefined);
    await disk.remove('nothing');
    await expect(disk.rename('nothing', 'something')).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('replaces, renames, removes and lists', async () => {
    const disk = await createDisk();
    await disk.replace('cursors', bytesOf('one'));
    await disk.replace('cursors', bytesOf('two'));
    expect(textOf(await disk.read('cursors'))).toBe('two');
    await disk.replace('log/b', bytesOf('b'));
    await disk.replace('log/a', bytesOf('a'));
    expect(await disk.list('log')).toEqual(['a', 'b']);
    await disk.rename('log/b', 'quarantine/c');
    expect(await disk.list('log')).toEqual(['a']);
    expect(textOf(await disk.read('quarantine/c'))).toBe('b');
    await disk.remove('log/a');
    expect(await disk.list('log')).toEqual([]);
    expect(await disk.free()).toBeGreaterThan(0);
  });

  test('goes on reading a file that is removed while it is open', async () => {
    const disk = await createDisk();
    const file = await disk.open('a');
    await file.append(bytesOf('still here'));
    await disk.remove('a');
    expect(textOf(await file.read(0, 100))).toBe('still here');
    await file.close();
  });
});

test('a file half replaced when the process died is not listed, and does no harm', async () => {
  const folder = await createFolder();
  const disk = createFileDisk(folder);
  await disk.replace('cursors', bytesOf('old'));
  await writeFile(join(folder, 'cursors.tmp'), 'half');
  expect(await disk.list('.')).toEqual(['cursors']);
  await disk.replace('cursors', bytesOf('new'));
  expect(textOf(await disk.read('cursors'))).toBe('new');
});

test('others on the machine cannot read the files', async () => {
  const folder = await createFolder();
  const disk = createFileDisk(folder);
  await (await disk.open('log/a')).close();
  await disk.replace('b', bytesOf('b'));
  for (const path of ['log', 'log/a', 'b']) {
    expect((await stat(join(folder, path))).mode & 0o007).toBe(0);
  }
});

test('on the simulated disk only what was synced surely survives a power cut', async () => {
  const outcomes = new Set<string>();
  for (let seed = 1; seed <= 300; seed++) {
    const disk = new SimDisk();
    const file = await disk.open('log/a');
    await file.append(bytesOf('synced.'));
    await file.sync();
    await disk.syncFolder('log');
    await file.append(bytesOf('more'));
    await disk.open('log/b');
    disk.crash(seededRandom(seed));
    const next = disk.restart();
    const text = textOf(await next.read('log/a'))!;
    expect(text.startsWith('synced.')).toBe(true);
    outcomes.add(text.slice(7)).add(`b ${(await next.list('log')).includes('b')}`);
  }
  for (const outcome of ['', 'more', 'mor', 'b true', 'b false']) {
    expect(outcomes).toContain(outcome);
  }
  expect([...outcomes].some((each) => /[^more]/.test(each) && !each.startsWith('b'))).toBe(true);
});

test('on the simulated disk what was cut may come back unless the cut was synced', async () => {
  const outcomes = new Set<string>();
  for (let seed = 1; seed <= 100; seed++) {
    const disk = new SimDisk();
    await disk.replace('a', bytesOf('0123456789'));
    const file = await disk.open('a');
    await file.truncate(3);
    if (seed % 2 === 0) await file.sync();
    disk.crash(seededRandom(seed));
    outcomes.add(`${seed % 2} ${textOf(await disk.restart().read('a'))}`);
  }
  expect([...outcomes].sort()).toEqual(['0 012', '1 012', '1 0123456789']);
});

test('a killed process gets no answer any more, and what it wrote stays in the page cache', async () => {
  const disk = new SimDisk();
  const file = await disk.open('a');
  await file.append(bytesOf('written'));
  let answered = false;
  disk.kill();
  void file.append(bytesOf(' late')).finally(() => {
    answered = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(answered).toBe(false);
  expect(textOf(await disk.restart().read('a'))).toBe('written');
});

test('on the simulated disk a failed sync is not made good by the next', async () => {
  const disk = new SimDisk();
  const file = await disk.open('a');
  await disk.syncFolder('.');
  await file.append(bytesOf('lost'));
  disk.fault = { atOperation: disk.operations + 1, mode: 'once' };
  await expect(file.sync()).rejects.toMatchObject({ code: 'EIO' });
  await file.sync();
  const lengths = new Set<number>();
  disk.crash(seededRandom(4));
  lengths.add((await disk.restart().read('a'))!.length);
  expect([...lengths][0]).toBeLessThan(4);
});

const canLie = possible('A disk that is taken away', imageImpossible() ?? faultsImpossible());
/** Appends and syncs; appends more, waits to be told, and says what came of syncing that. */
const syncLate = `
const { createFileDisk } = await import(process.env.MODULE);
const disk = createFileDisk(process.env.FOLDER);
const file = await disk.open('log/a.seg');
await file.append(Buffer.from('kept'));
await file.sync();
await disk.syncFolder('log');
await file.append(Buffer.from(' lost'));
process.send('appended');
await new Promise((resolve) => process.once('message', resolve));
process.send(await file.sync().then(() => 'synced', ({ code }) => code));
process.disconnect();
`;
test.runIf(canLie)(
  'a sync is not believed where the kernel has made the file system read-only',
  async () => {
    const image = await openImage(await createFolder(), 16);
    const folder = join(image.folder, 'data');
    const faults = await openFaults(await createFolder(), folder);
    const module = join(dirname(await builtTidegate()), 'platform', 'file-disk.js');
    const child = spawn(process.execPath, ['--input-type=module', '-e', syncLate], {
      env: { ...process.env, ...faults.environment, MODULE: module, FOLDER: folder },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    try {
      expect((await once(child, 'message'))[0]).toBe('appended');
      // The kernel tells most lies by itself, but not whenever one wants it to.
      await faults.inject({ operations: ['fdatasync', 'fsync'], error: 'lie' });
      if (!(await image.failReadOnly())) {
        process.stderr.write('This kernel does not fail a file system on demand: left out.\n');
        return;
      }
      child.send('sync');
      expect((await once(child, 'message'))[0]).toBe('EROFS');
      await once(child, 'exit');
      await image.repair();
      expect(textOf(await createFileDisk(folder).read('log/a.seg'))).toBe('kept');
    } finally {
      child.kill('SIGKILL');
      await faults.close();
      await image.close();
    }
  },
  30_000,
);
