#!/usr/bin/env node
// `npm start`: the gateway, and a few simulated devices that talk to it, until Ctrl-C. One of them is
// a board on a serial port, where a pseudo-terminal can be made.
//
// The two are children in sessions of their own, so that Ctrl-C reaches only this process, which can
// stop the devices first: then nothing is on its way when the gateway goes.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root, runScript, setUp } from './setup.mjs';

// As in systemd/tidegate.service: V8 would else take what a large machine has to give.
const heapLimits = [
  '--max-old-space-size=256',
  '--max-semi-space-size=4',
  '--single-threaded-gc',
  '--v8-pool-size=1',
];

/** After a signal the devices get this long, and everything together that long. */
const devicesStopMaxMs = 800;
const stopMaxMs = 1_700;
/** How long the gateway may take to tell where it listens, before its default is taken for granted. */
const addressMaxMs = 10_000;
const parentPollMs = 500;

const usage = `Usage: npm start -- [options]

Runs the gateway and a few simulated devices.

  --no-fleet      the gateway alone
  --devices N     how many devices; --rate HZ and --seed N also go to them
  --help

Everything else goes to the gateway: --config FILE, --data DIR. Without --config and without a
tidegate.yaml it runs config/greenhouse.yaml.
`;

const forFleet = ['--devices', '--rate', '--seed'];

function argumentsOf(args) {
  const gateway = [];
  const fleet = [];
  let withFleet = true;
  for (let at = 0; at < args.length; at++) {
    if (args[at] === '--no-fleet') withFleet = false;
    else if (forFleet.includes(args[at])) fleet.push(args[at], args[++at] ?? '');
    else if (forFleet.some((name) => args[at].startsWith(`${name}=`))) fleet.push(args[at]);
    else gateway.push(args[at]);
  }
  const hasConfig =
    gateway.some((arg) => arg === '--config' || arg.startsWith('--config=')) ||
    existsSync(join(root, 'tidegate.yaml'));
  if (!hasConfig) gateway.push('--config', join('config', 'greenhouse.yaml'));
  // Who counts the devices means those of one kind.
  const isMixed = withFleet && fleet.length === 0;
  return {
    gateway,
    fleet: withFleet ? fleet : undefined,
    isMixed,
    withBoard: isMixed && !hasConfig,
  };
}

/** A serial line for the board; says why where there can be none, and goes on without. */
async function serialLine() {
  try {
    const module = pathToFileURL(join(root, 'dist/firmware-sim/pseudo-terminal.js')).href;
    const { openPseudoTerminal } = await import(module);
    return await openPseudoTerminal();
  } catch (error) {
    process.stdout.write(`Without a board on a serial port: ${error.message}.\n`);
    return undefined;
  }
}

/** A board that is plugged in is a source of its own; it is told what is on the disk. */
const sourceOf = (line) =>
  line && {
    TIDEGATE_SOURCES_BOARD_KIND: 'serial',
    TIDEGATE_SOURCES_BOARD_PATH: line.port,
    TIDEGATE_SOURCES_BOARD_ACKNOWLEDGE_SAFE: 'ok',
  };

function devicesOf({ fleet, isMixed }, line) {
  if (!isMixed) return ['--shape', 'climate', ...fleet];
  const board =
    line === undefined
      ? ['--without', 'board']
      : ['--to', `board=serial:${line.board}?acknowledge=ok`];
  return ['--scenario', join('config', 'scenarios', 'home.yaml'), ...board];
}

/** A child that ends when this process ends. `ended` resolves with its exit status. */
function startChild(name, script, args, out, environment = {}) {
  const follow = pathToFileURL(join(root, 'scripts', 'follow-parent.mjs')).href;
  const child = spawn(
    process.execPath,
    [...heapLimits, '--import', follow, join(root, script), ...args],
    {
      cwd: root,
      detached: true,
      env: { ...process.env, ...environment },
      stdio: ['ignore', out, out, 'ipc'],
    },
  );
  const ended = new Promise((resolve) => {
    child.on('error', () => resolve(1));
    child.on('close', (status) => resolve(status ?? 1));
  });
  return { name, child, ended };
}

/** Where devices can connect, once the gateway says so. */
function addressOf(gateway) {
  const port = process.env.TIDEGATE_BROKER_LISTENERS_0_PORT ?? '1883';
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(`mqtt://127.0.0.1:${port}`), addressMaxMs);
    gateway.child.on('message', (message) => {
      const address = message?.addresses?.find((each) => each?.startsWith('mqtt:'));
      if (address === undefined) return;
      clearTimeout(timer);
      resolve(address.replace(/\/\/(0\.0\.0\.0|\[::\])(?=[:/]|$)/, '//127.0.0.1'));
    });
    void gateway.ended.then(() => clearTimeout(timer));
  });
}

async function stopChild({ child, ended }, maxMs) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, maxMs))]);
}

/** Resolves with the reason when it is time to stop. */
function stopRequested(children) {
  return new Promise((resolve) => {
    let asked = false;
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
      process.on(signal, () => {
        // Who asks twice is in a hurry.
        if (asked) killAll(children);
        asked = true;
        resolve({ signal });
      });
    }
    // npm passes no signal on when it is killed.
    const parent = process.ppid;
    if (process.env.npm_lifecycle_event !== undefined) {
      setInterval(() => process.ppid !== parent && resolve({ signal: 'SIGHUP' }), parentPollMs);
    }
  });
}

function killAll(children) {
  for (const { child } of children) child.kill('SIGKILL');
}

function collected(stream) {
  let text = '';
  stream.on('data', (chunk) => {
    text += chunk;
  });
  return () => text.trim();
}

function startFleet(url, args) {
  const script = 'dist/firmware-sim/main.js';
  const fleet = startChild('fleet', script, ['--json', '--url', url, ...args], 'pipe');
  const said = collected(fleet.child.stdout);
  const words = collected(fleet.child.stderr);
  return { ...fleet, said, words };
}

/** Resolves with how a child that nobody asked to end has ended. */
async function ending({ name, ended }) {
  return { name, status: await ended };
}

/** The devices first: then nothing is on its way when the gateway goes. */
async function stopAll(gateway, fleet) {
  const children = fleet === undefined ? [gateway] : [fleet, gateway];
  const deadline = setTimeout(() => killAll(children), stopMaxMs);
  if (fleet !== undefined) await stopChild(fleet, devicesStopMaxMs);
  await stopChild(gateway, stopMaxMs);
  await Promise.all(children.map(({ ended }) => ended));
  clearTimeout(deadline);
}

async function main() {
  const args = process.argv.slice(2);
  if (args.includes('--help')) {
    process.stdout.write(usage);
    return;
  }
  await setUp();
  const given = argumentsOf(args);
  const children = [];
  const stop = stopRequested(children);
  const run = ['run', '--display', ...given.gateway];
  const line = given.withBoard ? await serialLine() : undefined;
  const gateway = startChild('gateway', 'dist/src/main.js', run, 'inherit', sourceOf(line));
  children.push(gateway);

  let fleet;
  if (given.fleet !== undefined) {
    const url = await Promise.race([addressOf(gateway), stop, gateway.ended]);
    if (typeof url === 'string') {
      fleet = startFleet(url, devicesOf(given, line));
      children.push(fleet);
    }
  }
  const reason = await Promise.race([stop, ...children.map(ending)]);
  await stopAll(gateway, fleet);
  line?.close();
  tell(reason, fleet);
  process.exit(reason.signal === undefined ? reason.status || 1 : 0);
}

/** The gateway has told its own part. */
function tell(reason, fleet) {
  try {
    const { sent, acknowledged, lost, devices } = JSON.parse(fleet?.said());
    process.stdout.write(
      `Devices: ${devices} sent ${sent} messages, ${acknowledged} acknowledged, ${lost} lost.\n`,
    );
  } catch {
    // A fleet that never ran, or was killed, has nothing to tell.
  }
  if (reason.name === 'fleet') {
    process.stderr.write(`The simulated devices ended by themselves.\n${fleet.words()}\n`);
  } else if (reason.name === 'gateway') {
    process.stderr.write('The gateway ended by itself; its last words are above.\n');
  }
}

await runScript(main);
