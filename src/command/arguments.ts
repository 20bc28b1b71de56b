import { parseArgs } from 'node:util';
import { nearestOf } from '../config/nearest.ts';
import { type Command, type OptionShape, UsageError } from './command.ts';

const helpOption: OptionShape = { short: 'h', description: 'Show this.' };

/** Every option of a command, with those that all have. */
export function optionsOf(command: Command): Readonly<Record<string, OptionShape>> {
  return { ...command.options, help: helpOption };
}

/** What was given on the command line. Throws `UsageError` for what the command does not know. */
export function parseArguments(
  command: Command,
  given: readonly string[],
): { options: Record<string, string>; words: string[] } {
  const shapes = optionsOf(command);
  const { tokens } = parseArgs({
    args: [...given],
    options: Object.fromEntries(
      Object.entries(shapes).map(([name, { value, short }]) => [
        name,
        {
          type: value === undefined ? 'boolean' : 'string',
          ...(short === undefined ? {} : { short }),
        },
      ]),
    ),
    // Its own complaints name no command and suggest nothing.
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const options: Record<string, string> = {};
  const words: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') words.push(token.value);
    if (token.kind !== 'option') continue;
    const shape = Object.hasOwn(shapes, token.name) ? shapes[token.name] : undefined;
    if (shape === undefined) throw unknownOption(token.rawName, shapes);
    if (shape.value === undefined && token.value !== undefined) {
      throw new UsageError(`${token.rawName} takes no value.`);
    }
    if (shape.value !== undefined && !token.value) {
      throw new UsageError(`${token.rawName} needs a value: ${token.rawName} ${shape.value}.`);
    }
    options[token.name] = token.value ?? '';
  }
  if (options.help === undefined) checkWords(command, words);
  return { options, words };
}

function unknownOption(rawName: string, shapes: Readonly<Record<string, OptionShape>>) {
  const names = Object.keys(shapes).map((name) => `--${name}`);
  const nearest = nearestOf(rawName, names);
  const hint =
    nearest === undefined ? `Possible: ${names.join(', ')}.` : `Did you mean ${nearest}?`;
  return new UsageError(`Unknown option ${rawName}. ${hint}`);
}

function checkWords(command: Command, words: readonly string[]): void {
  const { min, max } = command.words ?? { min: 0, max: 0 };
  if (words.length > max) throw new UsageError(`Unexpected argument ${words[max]}.`);
  if (words.length < min) throw new UsageError('An argument is missing.');
}
