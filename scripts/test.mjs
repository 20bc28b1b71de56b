#!/usr/bin/env node
// `npm test`: set-up, then every test. Arguments go to vitest: npm test -- test/log
// With CI=true types and format are checked first.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { root, runScript, SetupError, setUp } from './setup.mjs';

function runTool(path, args) {
  const options = { cwd: root, stdio: 'inherit' };
  return spawnSync(process.execPath, [join(root, 'node_modules', path), ...args], options).status;
}

function check() {
  if (runTool('typescript/bin/tsc', ['-p', 'tsconfig.json', '--noEmit']) !== 0) {
    throw new SetupError('The types do not fit; see above.');
  }
  if (runTool('@biomejs/biome/bin/biome', ['check', '.']) !== 0) {
    throw new SetupError('Format or lint is not clean; npm run format mends most of it.');
  }
}

/** The programs that tests ask for with `available('…')`, and that this machine does not have. */
function missingServices() {
  const tests = join(root, 'test');
  const asked = new Set();
  for (const name of readdirSync(tests, { recursive: true })) {
    if (!name.endsWith('.test.ts') || name.startsWith('services')) continue;
    const text = readFileSync(join(tests, name), 'utf8');
    for (const [, program] of text.matchAll(/\bavailable\('([^']+)'\)/g)) asked.add(program);
  }
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  const isThere = (program) => folders.some((folder) => existsSync(join(folder, program)));
  return [...asked].filter((program) => !isThere(program)).sort();
}

/** Tests that passed and failed; a file that could not be loaded counts as one that failed. */
function countsIn(reportFile) {
  if (!existsSync(reportFile)) return { passed: 0, failed: 1, skipped: 0 };
  const report = JSON.parse(readFileSync(reportFile, 'utf8'));
  const broken = report.testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
  );
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + broken.length,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

await runScript(async () => {
  await setUp({ build: false });
  if (process.env.CI === 'true') check();
  const folder = mkdtempSync(join(tmpdir(), 'tidegate-test-'));
  const report = join(folder, 'report.json');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  try {
    const status = runTool('vitest/vitest.mjs', ['run', ...reporters, ...process.argv.slice(2)]);
    const { passed, failed, skipped } = countsIn(report);
    const missing = missingServices();
    if (missing.length > 0) {
      process.stdout.write(`Not installed, so not tested against: ${missing.join(', ')}.\n`);
    }
    if (skipped > 0) process.stdout.write(`${skipped} skipped\n`);
    process.stdout.write(`${passed} passed, ${failed} failed\n`);
    process.exitCode = status ?? 1;
  } finally {
    rmSync(folder, { recursive: true });
  }
});
