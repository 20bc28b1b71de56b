import { nearestOf } from '../config/nearest.ts';
import { parseArguments } from './arguments.ts';
import {
  type Command,
  type CommandGroup,
  type Context,
  exitStatus,
  UsageError,
} from './command.ts';
import { helpOf, helpOfAll, helpOfGroup } from './help.ts';
import { version } from './version.ts';

/** A command that is loaded when it is wanted, so that the others do not wait for what it needs. */
export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  load(): Promise<Command | CommandGroup>;
}

/** Everything `tidegate` can be told to do, in the order of the help. */
export const commands: readonly CommandEntry[] = [
  {
    name: 'run',
    summary: 'Run the gateway.',
    load: async () => (await import('./run.ts')).run,
  },
  {
    name: 'check',
    summary: 'Say everything that is wrong with the configuration. Starts nothing.',
    load: async () => (await import('./check.ts')).check,
  },
  {
    name: 'schema',
    summary: 'Print the JSON Schema of the configuration, for editors.',
    load: async () => (await import('./schema.ts')).schema,
  },
  {
    name: 'ingest',
    summary: 'Explain what becomes of a message.',
    load: async () => (await import('./ingest.ts')).ingest,
  },
  {
    name: 'log',
    summary: 'Look into the event log, also while the gateway runs.',
    load: async () => (await import('./log.ts')).log,
  },
  {
    name: 'letters',
    summary: 'List, redrive or drop what sinks refused for good.',
    load: async () => (await import('./letters.ts')).letters,
  },
  {
    name: 'replay',
    summary: 'Deliver history to a sink again.',
    load: async () => (await import('./replay.ts')).replay,
  },
  {
    name: 'audit',
    summary: 'Balance the books: what became of every event on its way to every sink.',
    load: async () => (await import('./audit.ts')).audit,
  },
  {
    name: 'passwd',
    summary: 'Add or change a user of the broker, or delete one.',
    load: async () => (await import('./passwd.ts')).passwd,
  },
];

/** What a process hands to the command it runs, but for what the command line says. */
export type Surroundings = Omit<Context, 'options' | 'words'>;

/**
 * Runs what the command line asks for and resolves with the exit status. Wrong usage is explained
 * on standard error; whatever else a command throws is thrown.
 */
export async function runCommandLine(
  given: readonly string[],
  around: Surroundings,
): Promise<number> {
  const [name, ...rest] = given;
  if (name === '--version' || name === '-V') return await printed(around, `${version}\n`);
  if (name === '--help' || name === '-h') return await printed(around, helpOfAll(commands));
  if (name === 'help') return await runCommandLine([...rest, '--help'], around);
  if (name === undefined) {
    around.say(helpOfAll(commands));
    return exitStatus.wrongUsage;
  }
  let known = 'tidegate';
  try {
    let found = await commandCalled(name, commands, 'command').load();
    known += ` ${name}`;
    let words = rest;
    if ('commands' in found) {
      const [inner, ...others] = rest;
      if (inner === '--help' || inner === '-h') return await printed(around, helpOfGroup(found));
      if (inner === undefined) {
        around.say(helpOfGroup(found));
        return exitStatus.wrongUsage;
      }
      found = commandCalled(inner, found.commands, `command of ${known}`);
      known += ` ${inner}`;
      words = others;
    }
    const { options, words: given } = parseArguments(found, words);
    if (options.help !== undefined) return await printed(around, helpOf(known, found));
    return await found.run({ ...around, options, words: given });
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    around.say(`tidegate: ${error.message}\nTry: ${known} --help`);
    return exitStatus.wrongUsage;
  }
}

async function printed(around: Surroundings, text: string): Promise<number> {
  await around.print(text);
  return exitStatus.done;
}

function commandCalled<C extends { readonly name: string }>(
  name: string,
  among: readonly C[],
  what: string,
): C {
  const found = among.find((each) => each.name === name);
  if (found !== undefined) return found;
  const names = among.map((each) => each.name);
  if (name.startsWith('-')) throw new UsageError(`The ${what} comes first: ${names.join(', ')}.`);
  const nearest = nearestOf(name, names);
  const hint =
    nearest === undefined ? `There are ${names.join(', ')}.` : `Did you mean ${nearest}?`;
  throw new UsageError(`Unknown ${what}: ${name}. ${hint}`);
}
