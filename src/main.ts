#!/usr/bin/env -S node --max-old-space-size=256 --max-semi-space-size=4 --single-threaded-gc --v8-pool-size=1
import { exitStatus } from './command/command.ts';
import { runCommandLine } from './command/index.ts';
import { GatewayError, messageOf } from './platform/errors.ts';

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    // Whoever asks twice does not want to wait.
    if (stop.signal.aborted) process.exit(name === 'SIGINT' ? 130 : 143);
    stop.abort(new Error(`Stopped by ${name}.`));
  });
}

// Whoever reads our output has had enough: `tidegate log export | head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? exitStatus.done : exitStatus.failed);
});
process.stderr.on('error', () => {});

function onHangUp(listener: () => void): void {
  // Who runs it in a terminal has closed that, and would not want it to stay.
  if (!process.stdin.isTTY) process.on('SIGHUP', listener);
}

function print(text: string): Promise<void> {
  return new Promise((resolve) => {
    if (process.stdout.write(text)) resolve();
    else process.stdout.once('drain', resolve);
  });
}

function say(text: string): void {
  process.stderr.write(text.endsWith('\n') ? text : `${text}\n`);
}

const hangingMaxMs = 500;

/**
 * Node waits at its end for file operations that hang, on a dead network drive for instance, for
 * ever. By now all that must last has been closed, and to be killed comes to the same as to stop.
 */
function exit(status: number, beganMs = performance.now()): void {
  const hangs = process.getActiveResourcesInfo().some((each) => each.startsWith('FSReq'));
  if (!hangs) process.exit(status);
  if (performance.now() - beganMs < hangingMaxMs) {
    setTimeout(exit, 10, status, beganMs);
    return;
  }
  say('tidegate: A file operation hangs; not waiting for it. Check the disks and network drives.');
  process.kill(process.pid, 'SIGKILL');
}

/** Says what went wrong and returns the exit status that stands for it. */
function explain(error: unknown): number {
  if (!(error instanceof GatewayError)) {
    say(`tidegate: ${error instanceof Error ? (error.stack ?? messageOf(error)) : String(error)}`);
    say('This is a defect of Tidegate. Please report it, with these lines.');
    return exitStatus.failed;
  }
  say(`tidegate: ${error.message}${error.message.includes('\n') ? '' : ` (${error.code})`}`);
  const isConfig = error.code.startsWith('GW_CONFIG_') || error.code === 'GW_SECRET_MISSING';
  return isConfig ? exitStatus.invalidConfig : exitStatus.failed;
}

const status = await runCommandLine(process.argv.slice(2), {
  environment: process.env,
  cwd: process.cwd(),
  signal: stop.signal,
  onHangUp,
  print,
  say,
}).catch(explain);
// Not before what was written has left: a pipe may still be taking it.
process.stdout.write('', () => exit(status));
