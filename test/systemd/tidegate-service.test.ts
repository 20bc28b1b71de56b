import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';

const unitFile = join(import.meta.dirname, '../../systemd/tidegate.service');
const unit = readFileSync(unitFile, 'utf8');

/** The values of a key, in order. */
function valuesOf(key: string): string[] {
  return [...unit.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map((match) => match[1]!);
}

test('systemd starts a gateway again after a failure, but not after an invalid configuration', () => {
  expect(valuesOf('Restart')).toEqual(['on-failure']);
  expect(valuesOf('RestartPreventExitStatus')).toEqual(['78']);
});

test('however often it fails, it is started again, and not in a hurry', () => {
  expect(valuesOf('StartLimitIntervalSec')).toEqual(['0']);
  expect(valuesOf('StartLimitBurst')).toEqual([]);
  expect(Number(valuesOf('RestartSec')[0])).toBeGreaterThanOrEqual(5);
});

test('the service manager is told by systemd-notify, and a stop does not kill that', () => {
  expect(valuesOf('Type')).toEqual(['notify']);
  expect(valuesOf('NotifyAccess')).toEqual(['all']);
  expect(valuesOf('KillMode')).toEqual(['mixed']);
  expect(Number(valuesOf('WatchdogSec')[0])).toBeGreaterThan(0);
});

test('data goes where systemd says, and the program starts what the package has', () => {
  expect(valuesOf('StateDirectory')).toEqual(['tidegate']);
  expect(unit).not.toMatch(/^[^#]*--data/m);
  const { bin } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'));
  // The same limits as for whoever runs the program by its name.
  const main = readFileSync(join(import.meta.dirname, '../../src/main.ts'), 'utf8');
  const limits = /^#!\/usr\/bin\/env -S node (.*)\n/.exec(main)?.[1];
  expect(limits).toContain('--max-old-space-size');
  expect(valuesOf('ExecStart')).toEqual([
    `node ${limits} /usr/lib/tidegate/${bin.tidegate} run --config /etc/tidegate/tidegate.yaml`,
  ]);
  const start = readFileSync(join(import.meta.dirname, '../../scripts/start.mjs'), 'utf8');
  for (const limit of limits!.split(' ')) expect(start).toContain(`'${limit}'`);
});

test('a reload is a SIGHUP, as the gateway understands it', () => {
  expect(valuesOf('ExecReload')).toEqual(['kill -HUP $MAINPID']);
});

test('systemd understands every line of the unit', (context) => {
  if (spawnSync('systemd-analyze', ['--version']).error !== undefined) {
    if (process.env.TIDEGATE_REQUIRE_SERVICES === '1') throw new Error('no systemd-analyze');
    console.log('skipped: systemd-analyze (package systemd) is not installed.');
    context.skip();
  }
  // In a root of its own, where the program is where an installation puts it.
  const root = mkdtempSync(join(tmpdir(), 'tidegate-unit-'));
  try {
    const put = (path: string, text: string, mode = 0o644) => {
      mkdirSync(join(root, dirname(path)), { recursive: true });
      writeFileSync(join(root, path), text, { mode });
    };
    for (const program of ['node', 'kill']) put(`/usr/bin/${program}`, '', 0o755);
    for (const target of ['network-online', 'time-sync', 'multi-user', 'sysinit', 'basic']) {
      put(`/etc/systemd/system/${target}.target`, `[Unit]\nDescription=${target}\n`);
    }
    put('/etc/systemd/system/shutdown.target', '[Unit]\nDescription=shutdown\n');
    const verify = (text: string) => {
      put('/etc/systemd/system/tidegate.service', text);
      const given = ['verify', '--man=no', '--recursive-errors=no', `--root=${root}`];
      return spawnSync('systemd-analyze', [...given, 'tidegate.service'], { encoding: 'utf8' });
    };
    const { status, stderr } = verify(unit);
    expect(stderr).toBe('');
    expect(status).toBe(0);
    // Without the option above an unknown key would be only a word on standard error.
    expect(verify(unit.replace('KillMode=', 'KillMod=')).status).not.toBe(0);
    expect(verify(unit.replace('=node ', '=nodee ')).status).not.toBe(0);
  } finally {
    rmSync(root, { recursive: true });
  }
});
