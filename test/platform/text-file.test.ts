import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readTextFile } from '../../src/platform/text-file.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidegate-text-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const write = (bytes: string | Uint8Array): string => {
  const path = join(folder, 'file');
  writeFileSync(path, bytes);
  return path;
};

test('a text file is read as it is, but for its byte order mark', async () => {
  expect(await readTextFile(write('\ufeffa: ü\n'))).toBe('a: ü\n');
  expect(await readTextFile(write(''))).toBe('');
  const largest = 'x'.repeat(2 ** 20);
  expect(await readTextFile(write(largest))).toBe(largest);
});

test('a file that is missing is none; one that cannot be a text is refused with the reason', async () => {
  expect(await readTextFile(join(folder, 'missing'))).toBeUndefined();
  await expect(readTextFile(folder)).rejects.toThrow('it is a folder');
  await expect(readTextFile(write(Uint8Array.of(0x61, 0xff)))).rejects.toThrow('not UTF-8');
  await expect(readTextFile(write('x'.repeat(2 ** 20 + 1)))).rejects.toThrow('larger than 1048576');
  // Endless, and without a size.
  await expect(readTextFile('/dev/zero')).rejects.toThrow('larger than 1048576');
});
