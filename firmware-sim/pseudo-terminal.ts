import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, constants, existsSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Two ends of a serial line that is not there: what is written to one comes out of the other. */
export interface PseudoTerminal {
  /** What a gateway opens, as if a board were plugged in. */
  readonly port: string;
  /** What the board writes to. */
  readonly board: string;
  close(): void;
}

const readyMaxMs = 5_000;
const pollMs = 20;

/** What joins two pseudo-terminals in Python, where socat is not installed. */
const python = `
import os, pty, selectors, sys, tty
ends = [pty.openpty() for _ in (0, 1)]
for (_, slave), path in zip(ends, sys.argv[1:]):
    tty.setraw(slave)
    os.symlink(os.ttyname(slave), path)
to = {ends[0][0]: ends[1][0], ends[1][0]: ends[0][0]}
with selectors.DefaultSelector() as ready:
    for each in to:
        ready.register(each, selectors.EVENT_READ)
    while True:
        for key, _ in ready.select():
            os.write(to[key.fd], os.read(key.fd, 4096))
`;

/** Runs a program until standard input ends: so it goes with its parent, however that ends. */
const whileRead = 'command -v "$1" > /dev/null || exit 1; "$@" < /dev/null & read _; kill $!';

/** Rejects with why there can be none on this machine. */
export async function openPseudoTerminal(): Promise<PseudoTerminal> {
  const folder = mkdtempSync(join(tmpdir(), 'tidegate-board-'));
  const [port, board] = [join(folder, 'port'), join(folder, 'board')];
  const ways: readonly [string, readonly string[]][] = [
    ['socat', [`PTY,link=${port},raw,echo=0`, `PTY,link=${board},raw,echo=0`]],
    ['python3', ['-c', python, port, board]],
  ];
  for (const [program, args] of ways) {
    // In a session of its own, so that Ctrl-C does not reach it before it reaches what uses it.
    const child = spawn('sh', ['-c', whileRead, 'sh', program, ...args], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    child.stdin.on('error', () => undefined);
    if (await isThere(child, [port, board])) {
      // While somebody has it open, a board may be unplugged without the line going away.
      const { O_RDWR, O_NOCTTY, O_NONBLOCK } = constants;
      const held = openSync(board, O_RDWR | O_NOCTTY | O_NONBLOCK);
      return {
        ...{ port, board },
        close() {
          closeSync(held);
          child.stdin.end();
          rmSync(folder, { recursive: true, force: true });
        },
      };
    }
    child.stdin.end();
  }
  rmSync(folder, { recursive: true, force: true });
  throw new Error('neither socat nor python3 can make a pseudo-terminal here');
}

async function isThere(child: ChildProcess, paths: readonly string[]): Promise<boolean> {
  let hasEnded = false;
  child.once('error', () => {
    hasEnded = true;
  });
  child.once('exit', () => {
    hasEnded = true;
  });
  for (let waitedMs = 0; waitedMs < readyMaxMs && !hasEnded; waitedMs += pollMs) {
    if (paths.every((path) => existsSync(path))) return true;
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
  return false;
}
