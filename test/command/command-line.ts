import { runCommandLine } from '../../src/command/index.ts';

/** A command line that is run in this process, and what it says. */
export interface CommandRun {
  readonly status: Promise<number>;
  out(): string;
  err(): string;
  /** What Ctrl-C does. */
  stop(): void;
}

export function startCommand(
  given: readonly string[],
  around: { readonly cwd: string; readonly environment?: Record<string, string> },
): CommandRun {
  const controller = new AbortController();
  let out = '';
  let err = '';
  const status = runCommandLine(given, {
    environment: {},
    ...around,
    signal: controller.signal,
    print: async (text) => {
      out += text;
    },
    onHangUp: () => {},
    say: (text) => {
      err += `${text}\n`;
    },
  });
  return {
    status,
    out: () => out,
    err: () => err,
    stop: () => controller.abort(new Error('Stopped.')),
  };
}

/** Runs to the end. */
export async function runCommand(
  given: readonly string[],
  around: { readonly cwd: string; readonly environment?: Record<string, string> },
): Promise<{ status: number; out: string; err: string }> {
  const run = startCommand(given, around);
  const status = await run.status;
  return { status, out: run.out(), err: run.err() };
}
