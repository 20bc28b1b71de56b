#!/usr/bin/env node
// `npm run bench`: every benchmark, one after the other, each in a process of its own so that none
// inherits the heap of another. `npm run bench -- append` runs those whose name holds that text.
//
// A benchmark is a file in test/bench that exports `run(print)`: it prints lines, or resolves with
// what it measured, { name, value, unit, note? } or several of them, or both.

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { root, runScript, SetupError, setUp } from './setup.mjs';

const folder = join(root, 'dist', 'test', 'bench');

function benchmarks(selected) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((file) => file.endsWith('.js'))
    .map((file) => basename(file, '.js'))
    .filter((name) => existsSync(join(root, 'test', 'bench', `${name}.ts`)))
    .filter((name) => selected === undefined || name.includes(selected))
    .sort();
}

/** In a child: runs one benchmark and prints what it has to say. */
async function measure(name) {
  const { run } = await import(pathToFileURL(join(folder, `${name}.js`)).href);
  if (run === undefined) return;
  process.stdout.write(`${name}\n`);
  const measured = await run((line) => process.stdout.write(`  ${line}\n`));
  if (measured !== undefined) print([measured].flat());
  process.stdout.write('\n');
  // A benchmark may leave sockets and timers behind.
  process.exit(0);
}

function shown(value) {
  if (typeof value !== 'number') return String(value ?? '');
  return value.toLocaleString('en', { maximumFractionDigits: Math.abs(value) < 100 ? 2 : 0 });
}

function print(rows) {
  const cells = rows.map((row) =>
    row !== null && typeof row === 'object' && 'value' in row
      ? {
          name: String(row.name ?? ''),
          value: shown(row.value),
          rest: `${row.unit ?? ''}  ${row.note ?? ''}`,
        }
      : { name: '', value: '', rest: JSON.stringify(row) },
  );
  const nameWidth = Math.max(...cells.map((cell) => cell.name.length));
  const valueWidth = Math.max(...cells.map((cell) => cell.value.length));
  for (const cell of cells) {
    const line = `  ${cell.name.padEnd(nameWidth)}  ${cell.value.padStart(valueWidth)} ${cell.rest}`;
    process.stdout.write(`${line.trimEnd()}\n`);
  }
}

await runScript(async () => {
  if (process.argv[2] === '--measure') return await measure(process.argv[3]);
  await setUp();
  const names = benchmarks(process.argv[2]);
  if (names.length === 0) throw new SetupError('There is no such benchmark in test/bench.');
  for (const name of names) {
    const args = [fileURLToPath(import.meta.url), '--measure', name];
    const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
    if (status !== 0) throw new SetupError(`The benchmark ${name} failed; see above.`);
  }
});
