import { rm } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Broker, startBroker } from '../firmware-sim/broker.ts';
import { eventually } from '../services/child.ts';
import {
  childrenOf,
  copyTree,
  isRunning,
  killQuietly,
  killWhatIsLeft,
  programsOf,
  type Running,
  runScript,
  type Tree,
} from './tree.ts';

/**
 * A gateway with faults that the real one cannot be made to have on demand. What it is depends on
 * the environment, which the script hands on.
 */
const standIn = `
process.send?.({ addresses: ['tls://127.0.0.1:1', process.env.BROKER] });
console.log('gateway: ' + process.argv.slice(2).join(' '));
process.on('SIGTERM', () => {
  console.log('gateway: SIGTERM');
  if (process.env.MOOD !== 'stubborn') process.exit(0);
});
if (process.env.MOOD === 'mortal') setTimeout(() => process.exit(3), 700);
if (process.env.MOOD === 'stillborn') process.exit(78);
setInterval(() => {}, 1000);
`;

let tree: Tree;
let broker: Broker;
const onLinux = process.platform === 'linux';

beforeAll(async () => {
  tree = await copyTree();
  await tree.write('dist/src/main.js', standIn);
  broker = await startBroker();
}, 60_000);
afterEach(killWhatIsLeft);
afterAll(async () => {
  await broker.kill();
  await tree.remove();
});

interface Started extends Running {
  /** The gateway and the fleet, and the serial line that they were given. */
  readonly children: readonly number[];
  /** The gateway and the fleet alone. */
  readonly programs: readonly number[];
  readonly fleet: number;
}
const start = async (mood = 'well', ...args: string[]): Promise<Started> => {
  const before = broker.heard.length;
  const running = runScript(tree, 'start.mjs', args, { BROKER: broker.url, MOOD: mood });
  await eventually(() => expect(broker.heard.length, running.said).toBeGreaterThan(before + 5));
  const programs = programsOf(running.pid);
  const [, fleet] = programs;
  return Object.assign(running, { children: childrenOf(running.pid), programs, fleet: fleet! });
};
const millisecondsUntil = async (ended: Promise<unknown>): Promise<number> => {
  const at = performance.now();
  await ended;
  return performance.now() - at;
};
const allGone = async (pids: readonly number[], withinMs: number): Promise<void> => {
  // A board has a serial line, which is a process where there can be one.
  expect([2, 3]).toContain(pids.length);
  await eventually(() => expect(pids.filter(isRunning)).toEqual([]), withinMs);
};

/** The programs at once; the serial line, which ends when nobody holds its other end, soon after. */
const endedWith = async (programs: readonly number[], all: readonly number[]): Promise<void> => {
  expect(programs.filter(isRunning)).toEqual([]);
  await allGone(all, 1_000);
};

describe.skipIf(!onLinux)('npm start', () => {
  test.for(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s ends both within 2 s', async (signal) => {
    const { child, children, programs, ended } = await start();
    child.kill(signal);
    expect(await millisecondsUntil(ended)).toBeLessThan(2_000);
    expect(await ended).toBe(0);
    await endedWith(programs, children);
  });

  test('the devices stop first, so that nothing is on its way when the gateway goes', async () => {
    const running = await start('well', '--devices', '5');
    running.child.kill('SIGINT');
    await running.ended;
    const [, sent, acknowledged] =
      /Devices: \d sent (\d+) messages, (\d+) acknowledged, 0 lost\./.exec(running.said) ?? [];
    expect(Number(sent)).toBeGreaterThan(5);
    expect(acknowledged).toBe(sent);
  });

  test('a gateway that does not stop is killed within 2 s', async () => {
    const { child, children, programs, ended } = await start('stubborn');
    child.kill('SIGINT');
    expect(await millisecondsUntil(ended)).toBeLessThan(2_000);
    await endedWith(programs, children);
  });

  test('a second Ctrl-C does not wait', async () => {
    const running = await start('stubborn');
    running.child.kill('SIGINT');
    await eventually(() => expect(running.said).toContain('gateway: SIGTERM'));
    running.child.kill('SIGINT');
    expect(await millisecondsUntil(running.ended)).toBeLessThan(500);
    await endedWith(running.programs, running.children);
  });

  test('when the gateway dies the devices go too, and its exit status is passed on', async () => {
    const running = runScript(tree, 'start.mjs', [], { BROKER: broker.url, MOOD: 'mortal' });
    await eventually(() => expect(programsOf(running.pid)).toHaveLength(2));
    const programs = programsOf(running.pid);
    const children = childrenOf(running.pid);
    expect(await running.ended).toBe(3);
    expect(running.said).toContain('The gateway ended by itself');
    await endedWith(programs, children);
  });

  test('a gateway that cannot start passes its exit status on at once', async () => {
    const running = runScript(tree, 'start.mjs', [], { BROKER: broker.url, MOOD: 'stillborn' });
    expect(await millisecondsUntil(running.ended)).toBeLessThan(3_000);
    expect(await running.ended).toBe(78);
  });

  test('when the devices die the gateway stops, and that is a failure', async () => {
    const running = await start();
    killQuietly(running.fleet);
    expect(await running.ended).toBe(1);
    expect(running.said).toContain('gateway: SIGTERM');
    await endedWith(running.programs, running.children);
  });

  test('nobody is left when it is killed with SIGKILL', async () => {
    const { child, children, ended } = await start();
    child.kill('SIGKILL');
    expect(await ended).toBe('SIGKILL');
    await allGone(children, 2_000);
  });

  test('nobody is left when it is killed, even if the gateway will not stop', async () => {
    const { child, children } = await start('stubborn');
    child.kill('SIGKILL');
    await allGone(children, 3_000);
  });

  test('what it does not know goes to the gateway', async () => {
    const running = await start('well', '--data', 'elsewhere', '--devices', '2', '--rate=20');
    running.child.kill('SIGINT');
    await running.ended;
    expect(running.said).toMatch(
      /^gateway: run --display --data elsewhere --config config.greenhouse.yaml$/m,
    );
    expect(running.said).toContain('Devices: 2 sent');
  });

  test('where no pseudo-terminal can be made, a line says so and the others go on', async () => {
    const before = broker.heard.length;
    const environment = { BROKER: broker.url, MOOD: 'well', PATH: `${tree.root}/nothing` };
    const running = runScript(tree, 'start.mjs', [], environment);
    await eventually(() => expect(broker.heard.length, running.said).toBeGreaterThan(before + 5));
    running.child.kill('SIGINT');
    await running.ended;
    expect(running.said).toMatch(
      /^Without a board on a serial port: neither socat nor python3 can /m,
    );
    expect(running.said).toMatch(/Devices: 8 sent \d+ messages, \d+ acknowledged, 0 lost\./);
  });

  test('--no-fleet runs the gateway alone', async () => {
    const running = runScript(tree, 'start.mjs', ['--no-fleet', '--config', 'mine.yaml']);
    await eventually(() => expect(running.said).toContain('run --display --config mine.yaml\n'));
    expect(childrenOf(running.pid)).toHaveLength(1);
    running.child.kill('SIGINT');
    expect(await running.ended).toBe(0);
    expect(running.said).not.toContain('Devices:');
  });

  test('a tidegate.yaml is left to the gateway to find', async () => {
    await tree.write('tidegate.yaml', '');
    try {
      const running = runScript(tree, 'start.mjs', ['--no-fleet']);
      await eventually(() => expect(running.said).toMatch(/^gateway: run --display$/m));
      running.child.kill('SIGINT');
      await running.ended;
    } finally {
      await rm(`${tree.root}/tidegate.yaml`);
    }
  });
});
