import {
  type Command,
  type CommandGroup,
  type Context,
  configOption,
  exitStatus,
  type OptionShape,
  UsageError,
} from './command.ts';
import { openGatewayClient } from './gateway-client.ts';
import { onOneLine } from './log-line.ts';

const json: OptionShape = { description: 'Print JSON, one object per line.' };
const sink: OptionShape = { value: 'NAME', description: 'Only letters of this sink.' };
const whole = 'An event is sent again as it was: its payload cannot be edited.';
const path = '/api/v1/letters';

interface Letter {
  readonly id: string;
  readonly sink: string;
  readonly reason: string;
  readonly attempts: number;
  readonly time: string;
  readonly state: string;
  readonly device: string;
  readonly type: string;
}

const list: Command = {
  name: 'list',
  summary: 'Show the events that sinks refused for good.',
  usage: '[--sink NAME] [--all] [--json] [--config FILE]',
  options: {
    sink,
    all: { description: 'Also those that were redriven or dropped.' },
    json,
    config: configOption,
  },
  async run(context) {
    const query = new URLSearchParams();
    if (context.options.sink !== undefined) query.set('sink', context.options.sink);
    if (context.options.all === undefined) query.set('state', 'open');
    const client = await openGatewayClient(context);
    const { letters, forgotten } = (await client.get(`${path}?${query}`)) as {
      letters: readonly Letter[];
      forgotten: number;
    };
    if (context.options.json !== undefined) {
      for (const letter of letters) await context.print(`${JSON.stringify(letter)}\n`);
      return exitStatus.done;
    }
    if (letters.length > 0) await context.print(tableOf(letters));
    else context.say('There are no dead letters.');
    if (forgotten > 0) {
      context.say(
        `${forgotten} older ones are no longer listed; they are in the log: tidegate log export --type rejected`,
      );
    }
    return exitStatus.done;
  },
};

function tableOf(letters: readonly Letter[]): string {
  const rows = letters.map((letter) => [
    letter.id,
    letter.state,
    letter.time,
    `${letter.attempts}x`,
    letter.sink,
    letter.device || '-',
    letter.reason,
  ]);
  const all = [['ID', 'STATE', 'REFUSED', 'TIMES', 'SINK', 'DEVICE', 'REASON'], ...rows];
  const widths = all[0]!.map((_, at) => Math.max(...all.map((row) => onOneLine(row[at]!).length)));
  return all
    .map((row) => `${row.map((cell, at) => onOneLine(cell).padEnd(widths[at]!)).join('  ')}`)
    .map((line) => `${line.trimEnd()}\n`)
    .join('');
}

const show: Command = {
  name: 'show',
  summary: 'Show one dead letter, with the event that was refused, as JSON.',
  usage: 'ID [--json] [--config FILE]',
  options: {
    json: { description: 'On one line.' },
    config: configOption,
  },
  words: { min: 1, max: 1 },
  async run(context) {
    const client = await openGatewayClient(context);
    const found = await client.get(`${path}/${encodeURIComponent(context.words[0]!)}`);
    const indent = context.options.json === undefined ? 2 : undefined;
    await context.print(`${JSON.stringify(found, undefined, indent)}\n`);
    return exitStatus.done;
  },
};

const redrive: Command = {
  name: 'redrive',
  summary: 'Send the events of dead letters to their sinks once more.',
  usage: '[ID…] [--sink NAME] [--json] [--config FILE]',
  options: { sink, json, config: configOption },
  words: { min: 0, max: 10_000 },
  notes: [
    'When this has said so, the events reach their sinks even if the gateway is killed. They keep',
    'their ids and carry redriveof. One that is refused again is an open letter again.',
    whole,
  ].join('\n'),
  run: (context) => change(context, 'redrive', 'Redriven'),
};

const drop: Command = {
  name: 'drop',
  summary: 'Put dead letters away: nobody will send them again.',
  usage: '[ID…] [--sink NAME] [--json] [--config FILE]',
  options: { sink, json, config: configOption },
  words: { min: 0, max: 10_000 },
  notes: 'The events stay in the log as long as it keeps them.',
  run: (context) => change(context, 'drop', 'Dropped'),
};

async function change(context: Context, action: string, done: string): Promise<number> {
  const { words, options } = context;
  if (words.length === 0 && options.sink === undefined) {
    throw new UsageError('Name the letters by their ids, or all those of a sink by --sink NAME.');
  }
  const client = await openGatewayClient(context);
  const outcome = (await client.post(`${path}/${action}`, {
    ...(words.length === 0 ? {} : { ids: words }),
    ...(options.sink === undefined ? {} : { sink: options.sink }),
  })) as { done: readonly string[]; refused: readonly { id: string; reason: string }[] };
  if (options.json === undefined) {
    context.say(`${done}: ${outcome.done.length}.`);
    for (const { id, reason } of outcome.refused) {
      context.say(`Not ${done.toLowerCase()}: ${onOneLine(id)}: ${onOneLine(reason)}.`);
    }
  } else await context.print(`${JSON.stringify(outcome)}\n`);
  return outcome.refused.length === 0 ? exitStatus.done : exitStatus.failed;
}

/** Lists dead letters and says what is to become of them; the gateway must be running. */
export const letters: CommandGroup = {
  name: 'letters',
  summary: 'List, redrive or drop what sinks refused for good.',
  commands: [list, show, redrive, drop],
};
