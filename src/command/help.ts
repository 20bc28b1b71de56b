import { optionsOf } from './arguments.ts';
import type { Command, CommandGroup } from './command.ts';

/** `tidegate --help` */
export function helpOfAll(
  commands: readonly { readonly name: string; readonly summary: string }[],
): string {
  return [
    'Tidegate: an IoT edge gateway. What it acknowledges is on disk; every event reaches every sink.',
    '',
    'Usage: tidegate COMMAND [OPTION…]',
    '',
    'Commands:',
    ...table(commands.map(({ name, summary }) => [name, summary])),
    '',
    'tidegate COMMAND --help says more of each. tidegate --version prints the version.',
    'Exit status: 0 done, 1 failed, 2 wrong usage, 78 invalid configuration.',
    '',
  ].join('\n');
}

/** `tidegate log --help` */
export function helpOfGroup({ name, summary, commands }: CommandGroup): string {
  return [
    summary,
    '',
    `Usage: tidegate ${name} COMMAND [OPTION…]`,
    '',
    'Commands:',
    ...table(commands.map((each) => [each.name, each.summary])),
    '',
    `tidegate ${name} COMMAND --help says more of each.`,
    '',
  ].join('\n');
}

/** `tidegate check --help`; `name` is all that stands before the options. */
export function helpOf(name: string, command: Command): string {
  const options = Object.entries(optionsOf(command)).map(
    ([long, { short, value, description }]) => [
      `${short === undefined ? '    ' : `-${short}, `}--${long}${value === undefined ? '' : ` ${value}`}`,
      description,
    ],
  );
  return [
    command.summary,
    '',
    `Usage: ${name} ${command.usage}`.trimEnd(),
    '',
    'Options:',
    ...table(options),
    ...(command.notes === undefined ? [] : ['', command.notes]),
    '',
  ].join('\n');
}

function table(rows: readonly (readonly string[])[]): string[] {
  const width = Math.max(...rows.map(([first]) => first!.length));
  return rows.map(([first, second]) => `  ${first!.padEnd(width)}  ${second}`);
}
