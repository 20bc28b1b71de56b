import { resolve } from 'node:path';
import { loadConfig } from '../config/load.ts';
import { nearestOf } from '../config/nearest.ts';
import { toCloudEventsText } from '../event/cloudevents-json.ts';
import { type EventType, eventTypes } from '../event/event.ts';
import { createFilter } from '../event/filter.ts';
import { openLogInspector } from '../log/inspect.ts';
import type { Entry, Position } from '../log/log.ts';
import { GatewayError } from '../platform/errors.ts';
import { createFileDisk } from '../platform/file-disk.ts';
import { folderReadProblem } from '../platform/lock.ts';
import { openSecrets } from '../platform/secrets.ts';
import { createSystemClock } from '../platform/system-clock.ts';
import {
  type Command,
  type CommandGroup,
  type Context,
  configOption,
  dataOption,
  exitStatus,
  type OptionShape,
  UsageError,
} from './command.ts';
import { logKeysOf } from './log-keys.ts';
import { isoOf, logLineOf } from './log-line.ts';
import { momentOf } from './log-time.ts';

const json: OptionShape = { description: 'Print JSON, one object per line.' };
const where = { config: configOption, data: dataOption };
const which: Readonly<Record<string, OptionShape>> = {
  from: { value: 'T', description: 'From this time: 2026-11-20T14:00:00Z, or 15m or 24h ago.' },
  to: { value: 'T', description: 'Up to this time, given likewise.' },
  type: { value: 'T', description: 'Only these types of event, such as reading or alert,gap.' },
  device: { value: 'D', description: 'Only these devices, such as gh-07 or gh-*.' },
};
const whichUsage = '[--from T] [--to T] [--type T] [--device D]';
/** How far `tail` looks back for what it shows first. */
const lookBack = 10_000;
const pollMs = 300;

async function openInspector({ options, environment, cwd }: Context) {
  const given = options.data === undefined ? undefined : resolve(cwd, options.data);
  const path = options.config === undefined ? {} : { path: options.config };
  const loading = loadConfig({ ...path, environment, cwd });
  // A folder that is named can be looked at without a configuration, unless it is encrypted.
  const loaded =
    given !== undefined && options.config === undefined
      ? await loading.catch(() => undefined)
      : await loading;
  const dir = given ?? loaded!.config.data.dir;
  const problem = await folderReadProblem(dir);
  if (problem !== undefined) throw new GatewayError('GW_DATA_UNREADABLE', problem);
  const keys =
    loaded && (await logKeysOf(loaded.config.log, openSecrets(loaded.folder, environment)));
  return { dir, inspector: await openLogInspector(createFileDisk(dir), keys) };
}

/** The span of time and the filter that the options ask for. */
function selectionOf({ options }: Context) {
  const now = Date.now();
  const time = (name: string) =>
    options[name] === undefined ? undefined : momentOf(name, options[name], now);
  const fromTime = time('from');
  const toTime = time('to');
  const types = options.type?.split(',').map(typeOf);
  const accepts = createFilter({
    ...(types === undefined ? {} : { type: types }),
    ...(options.device === undefined ? {} : { device: options.device.split(',') }),
  });
  return {
    accepts: (entry: Entry): boolean => accepts(entry),
    span: {
      ...(fromTime === undefined ? {} : { fromTime }),
      ...(toTime === undefined ? {} : { toTime }),
    },
  };
}

/** The type of event of that name, long or short; throws a `UsageError` that lists them. */
export function typeOf(text: string): EventType {
  const name = text.replace(/^io\.tidegate\./, '').replace(/\.v\d+$/, '');
  const found = eventTypes.find((type) => type === name);
  if (found !== undefined) return found;
  const nearest = nearestOf(name, eventTypes);
  throw new UsageError(
    `--type takes ${eventTypes.join(', ')}; not ${text}.${nearest ? ` Did you mean ${nearest}?` : ''}`,
  );
}

const stat: Command = {
  name: 'stat',
  summary: 'How much the event log holds, and since when.',
  usage: '[--json] [--config FILE] [--data DIR]',
  options: { json, ...where },
  async run(context) {
    const { dir, inspector } = await openInspector(context);
    const { first, last, segments, bytes, thinned, firstTime, lastTime } = await inspector.stat();
    const events = Math.max(0, last - first + 1);
    if (context.options.json !== undefined) {
      const times = {
        ...(firstTime === undefined ? {} : { firstTime: isoOf(firstTime) }),
        ...(lastTime === undefined ? {} : { lastTime: isoOf(lastTime) }),
      };
      await context.print(
        `${JSON.stringify({ folder: dir, events, first, last, segments, bytes, thinned, ...times })}\n`,
      );
      return exitStatus.done;
    }
    const rows = [
      ['folder', dir],
      ['events', events === 0 ? 'none' : `${events}, at positions ${first} to ${last}`],
      ...(firstTime === undefined ? [] : [['from', isoOf(firstTime)]]),
      ...(lastTime === undefined ? [] : [['to', isoOf(lastTime)]]),
      ['size', `${bytes} bytes in ${segmentsText(segments)}`],
      ...thinned.map(({ from, to }) => ['thinned', `readings at positions ${from} to ${to}`]),
    ];
    await context.print(rows.map(([name, value]) => `${name!.padEnd(8)}${value}\n`).join(''));
    return exitStatus.done;
  },
};

const tail: Command = {
  name: 'tail',
  summary: 'Show the newest events, and every new one until Ctrl-C.',
  usage: `[-n N] ${whichUsage} [--json] [--data DIR]`,
  options: {
    lines: { value: 'N', short: 'n', description: 'So many to begin with. Default: 10.' },
    ...which,
    json,
    ...where,
  },
  notes: `Looks back ${lookBack} events for the first ones; with --from, to that time.`,
  async run(context) {
    const lines = linesOf(context.options.lines);
    const { accepts, span } = selectionOf(context);
    const { inspector } = await openInspector(context);
    const text = context.options.json === undefined ? logLineOf : toCloudEventsText;
    const show = async (entries: readonly Entry[]): Promise<void> => {
      if (entries.length > 0) await context.print(`${entries.map(text).join('\n')}\n`);
    };
    const { last } = await inspector.stat();
    const everything = span.fromTime !== undefined;
    let after = (everything ? 0 : Math.max(0, last - Math.max(lookBack, lines))) as Position;
    let newest: Entry[] = [];
    for await (const entries of inspector.entries({ ...span, after })) {
      after = entries.at(-1)!.position;
      if (everything) await show(entries.filter(accepts));
      else newest = lastOf([...newest, ...entries.filter(accepts)], lines);
      if (context.signal.aborted) return exitStatus.done;
    }
    await show(newest);
    await follow(context, async () => {
      for await (const entries of inspector.entries({ ...span, after })) {
        after = entries.at(-1)!.position;
        await show(entries.filter(accepts));
      }
      return span.toTime === undefined || Date.now() <= span.toTime;
    });
    return exitStatus.done;
  },
};

function lastOf<T>(all: readonly T[], count: number): T[] {
  return all.slice(Math.max(0, all.length - count));
}

function segmentsText(count: number): string {
  return count === 1 ? '1 segment' : `${count} segments`;
}

function linesOf(text: string | undefined): number {
  const lines = Number(text ?? 10);
  if (Number.isInteger(lines) && lines >= 0 && lines <= 1_000_000) return lines;
  throw new UsageError(`--lines takes a whole number up to 1000000; not ${text}.`);
}

/** Calls `step` at a steady pace until it says no or the user has had enough. */
async function follow({ signal }: Context, step: () => Promise<boolean>): Promise<void> {
  const clock = createSystemClock();
  while (!signal.aborted && (await step())) {
    await clock.sleep(pollMs, signal).catch(() => {});
  }
}

const exportAll: Command = {
  name: 'export',
  summary: 'Print events, one CloudEvent in JSON per line.',
  usage: `${whichUsage} [--json] [--data DIR]`,
  options: { ...which, json: { description: 'As always: export prints nothing else.' }, ...where },
  async run(context) {
    const { accepts, span } = selectionOf(context);
    const { inspector } = await openInspector(context);
    for await (const entries of inspector.entries(span)) {
      if (context.signal.aborted) return exitStatus.failed;
      let text = '';
      for (const entry of entries) if (accepts(entry)) text += `${toCloudEventsText(entry)}\n`;
      if (text !== '') await context.print(text);
    }
    return exitStatus.done;
  },
};

const verify: Command = {
  name: 'verify',
  summary: 'Read the whole event log and say what is damaged; exit 1 if anything is.',
  usage: '[--json] [--config FILE] [--data DIR]',
  options: { json, ...where },
  async run(context) {
    const { inspector } = await openInspector(context);
    let count = 0;
    for await (const damage of untilStopped(inspector.verify(), context.signal)) {
      count += 1;
      const { path, offset, problem, from, to } = damage;
      const lost = from === undefined ? '' : ` (positions ${from} to ${to ?? 'unknown'})`;
      await context.print(
        context.options.json === undefined
          ? `${path}: byte ${offset}: ${problem}${lost}\n`
          : `${JSON.stringify(damage)}\n`,
      );
    }
    if (context.signal.aborted) return exitStatus.failed;
    if (count > 0) return exitStatus.failed;
    const { first, last, segments } = await inspector.stat();
    const events = Math.max(0, last - first + 1);
    context.say(`Nothing is damaged: ${events} events in ${segmentsText(segments)}.`);
    return exitStatus.done;
  },
};

/** The same, but ends when the user has had enough, even in the middle of a long search. */
async function* untilStopped<T>(all: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const iterator = all[Symbol.asyncIterator]();
  const stopped = new Promise<{ readonly done: true }>((resolve) => {
    signal.addEventListener('abort', () => resolve({ done: true }), { once: true });
  });
  while (!signal.aborted) {
    const next = await Promise.race([iterator.next(), stopped]);
    if (next.done) return;
    yield next.value;
  }
}

/** Reads the event log, also while the gateway runs, and never writes. */
export const log: CommandGroup = {
  name: 'log',
  summary: 'Look into the event log, also while the gateway runs.',
  commands: [stat, tail, exportAll, verify],
};
