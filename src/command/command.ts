/** One thing that `tidegate` does when told to. */
export interface Command {
  readonly name: string;
  /** One line, for the list of commands. */
  readonly summary: string;
  /** What may follow the name: `[--config FILE] [--connect]`. */
  readonly usage: string;
  readonly options: Readonly<Record<string, OptionShape>>;
  /** Fewest and most words that are not options; none when not given. */
  readonly words?: { readonly min: number; readonly max: number };
  /** What more there is to say, below the options. */
  readonly notes?: string;
  /** Resolves with the exit status. A `GatewayError` is shown without its stack. */
  run(context: Context): Promise<number>;
}

/** A name that stands for several commands: `tidegate log stat`. */
export interface CommandGroup {
  readonly name: string;
  readonly summary: string;
  readonly commands: readonly Command[];
}

export interface OptionShape {
  /** What stands for the value in the help: FILE, DIR, N. Without it the option takes none. */
  readonly value?: string;
  readonly short?: string;
  readonly description: string;
}

export interface Context {
  /** The value of each option that was given; `''` for one that takes none. */
  readonly options: Readonly<Record<string, string | undefined>>;
  readonly words: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Aborted by the first Ctrl-C or SIGTERM; the second one ends the process. */
  readonly signal: AbortSignal;
  /** Calls back at every SIGHUP from now on, which else ends the process. */
  onHangUp(listener: () => void): void;
  /** Data: to standard output, in whole lines. Resolves when there is room for more. */
  print(text: string): Promise<void>;
  /** Words about it: to standard error. */
  say(text: string): void;
}

/** Exit statuses; 78 is EX_CONFIG of sysexits(3), after which systemd does not start us again. */
export const exitStatus = { done: 0, failed: 1, wrongUsage: 2, invalidConfig: 78 } as const;

/** The command line makes no sense; the message says why. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export const configOption: OptionShape = {
  value: 'FILE',
  short: 'c',
  description: 'The configuration. Default: tidegate.yaml, if there is one.',
};
export const dataOption: OptionShape = {
  value: 'DIR',
  description: 'The data folder. Default: data.dir of the configuration.',
};
