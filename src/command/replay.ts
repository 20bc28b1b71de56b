import { resumeCommandOf } from '../flow/replay-notes.ts';
import { type ErrorCode, errorTable, GatewayError, messageOf } from '../platform/errors.ts';
import {
  type Command,
  type Context,
  configOption,
  exitStatus,
  type OptionShape,
  UsageError,
} from './command.ts';
import { openGatewayClient, SaidByGateway } from './gateway-client.ts';
import { typeOf } from './log.ts';
import { isoOf } from './log-line.ts';
import { momentOf } from './log-time.ts';

const options: Readonly<Record<string, OptionShape>> = {
  sink: { value: 'NAME', description: 'The sink that gets them. Nobody else does.' },
  from: { value: 'T', description: 'From this time: 2026-11-20T14:00:00Z, or 15m or 24h ago.' },
  to: { value: 'T', description: 'Up to this time, given likewise. Default: until now.' },
  device: { value: 'D', description: 'Only these devices, such as gh-07 or gh-*.' },
  type: { value: 'T', description: 'Only these types of event, such as reading or alert,gap.' },
  rate: { value: 'N', description: 'At most so many events a second. Default: 1000.' },
  'dry-run': { description: 'Only count.' },
  status: { description: 'Show which replays are running, and how far they are.' },
  cancel: { description: 'End the one to --sink; it is not gone on with.' },
  json: { description: 'Print the outcome as JSON.' },
  config: configOption,
};

interface Line {
  readonly state: 'running' | 'done' | 'failed';
  readonly first: number;
  readonly last: number;
  readonly position: number;
  readonly found: number;
  readonly delivered: number;
  readonly rejected: number;
  readonly keptSince: number;
  readonly left: { readonly from: number; readonly to?: number };
  readonly trouble?: string;
  readonly code: string;
  readonly message: string;
}

/** Has a gateway that runs deliver history to one sink again. Ctrl-C stops it. */
export const replay: Command = {
  name: 'replay',
  summary: 'Deliver history to a sink again.',
  usage: [
    '--sink NAME --from T [--to T] [--device D] [--type T] [--rate N] [--dry-run]',
    '               [--json] [--config FILE]',
    'tidegate replay --status [--json]',
    'tidegate replay --cancel --sink NAME',
  ].join('\n'),
  options,
  notes: [
    'Times are those of recording. Only what the sink selects is delivered, over a connection of its',
    'own: live delivery goes on. Events keep their ids and carry replayed: true. Ctrl-C stops it.',
    'When the gateway ends in the middle it goes on with it by itself once it is started again.',
  ].join('\n'),
  async run(context) {
    if (context.options.status !== undefined) return await status(context);
    if (context.options.cancel !== undefined) return await cancel(context);
    const wish = wishOf(context);
    const client = await openGatewayClient(context);
    const bar = createBar(context, process.stderr);
    let last: Line | undefined;
    let running: Line | undefined;
    try {
      for await (const line of client.lines('/api/v1/replay', wish, context.signal)) {
        const next = line as Line;
        if (next.state !== 'failed') running = next;
        if (last === undefined) tellRetention(context, wish.from, next);
        last = next;
        bar.show(next);
      }
    } catch (error) {
      if (error instanceof GatewayError) throw error;
      // Whoever is killed says nothing: the connection is gone.
      if (!context.signal.aborted) {
        throw endedError(wish, running, error);
      }
    } finally {
      bar.clear();
    }
    return await conclude(context, wish, last, running);
  },
};

interface Shown {
  readonly sink: string;
  readonly dryRun: boolean;
  readonly rate?: number;
  readonly resumed: boolean;
  readonly first?: number;
  readonly last?: number;
  readonly position?: number;
  readonly delivered?: number;
  readonly trouble?: string;
}

/** What is running, a line each. */
async function status(context: Context): Promise<number> {
  refuseOthers(context, 'status', ['json', 'config']);
  const client = await openGatewayClient(context);
  const { replays } = (await client.get('/api/v1/replay')) as {
    readonly replays: readonly Shown[];
  };
  if (context.options.json !== undefined) await context.print(`${JSON.stringify({ replays })}\n`);
  else if (replays.length === 0) context.say('No replay is running.');
  else await context.print(replays.map((each) => `${lineOf(each)}\n`).join(''));
  return exitStatus.done;
}

function lineOf({ sink, first = 1, last = 0, position = 0, ...shown }: Shown): string {
  const { delivered = 0, rate, resumed, trouble } = shown;
  const share =
    last < first ? 100 : Math.floor((100 * (position - first + 1)) / (last - first + 1));
  const words = [`${sink}: ${share} %, ${delivered} delivered`];
  if (rate !== undefined) words.push(`at most ${rate} a second`);
  if (resumed) words.push('went on after a start');
  if (trouble !== undefined) words.push(`waiting: ${trouble}`);
  return words.join(', ');
}

async function cancel(context: Context): Promise<number> {
  refuseOthers(context, 'cancel', ['sink', 'config']);
  const { sink } = context.options;
  if (sink === undefined) throw new UsageError('--sink NAME is missing: which replay?');
  const client = await openGatewayClient(context);
  const { delivered = 0 } = (await client.post('/api/v1/replay/cancel', { sink })) as Shown;
  context.say(`Cancelled: ${delivered} events had been delivered to ${sink} again.`);
  return exitStatus.done;
}

/** The gateway is gone without a word. It goes on with what changes something. */
function endedError(wish: ReturnType<typeof wishOf>, running: Line | undefined, cause: unknown) {
  if (running === undefined || wish.dryRun !== undefined) {
    return new GatewayError(
      'GW_REPLAY_FAILED',
      `the gateway has ended (${messageOf(cause)}).`,
      cause,
    );
  }
  const detail = `${running.delivered} events were delivered.`;
  return new GatewayError('GW_REPLAY_INTERRUPTED', detail, cause);
}

function wishOf({ options }: Context) {
  const { sink, from } = options;
  if (sink === undefined) throw new UsageError('--sink NAME is missing: who gets it?');
  if (from === undefined) throw new UsageError('--from T is missing: since when?');
  const now = Date.now();
  const time = (name: string, text: string): string => isoOf(momentOf(name, text, now));
  const wish = {
    sink,
    from: time('from', from),
    ...(options.to === undefined ? {} : { to: time('to', options.to) }),
    ...(options.device === undefined ? {} : { device: options.device.split(',') }),
    ...(options.type === undefined ? {} : { type: options.type.split(',').map(typePatternOf) }),
    ...(options.rate === undefined ? {} : { rate: rateOf(options.rate) }),
    ...(options['dry-run'] === undefined ? {} : { dryRun: true }),
  };
  if (wish.to !== undefined && wish.to < wish.from) {
    throw new UsageError('--to is before --from: there is nothing in between.');
  }
  return wish;
}

/** A misspelt name would select nothing. */
function typePatternOf(text: string): string {
  return /[*?]/.test(text) ? text : typeOf(text);
}

/** What is ignored in silence is taken for done. */
function refuseOthers(context: Context, what: string, allowed: readonly string[]): void {
  const other = Object.keys(context.options).find(
    (name) => name !== what && context.options[name] !== undefined && !allowed.includes(name),
  );
  if (other !== undefined) throw new UsageError(`--${what} does not go with --${other}.`);
}

function rateOf(text: string): number {
  const rate = Number(text);
  if (rate > 0 && rate <= 1_000_000) return rate;
  throw new UsageError(`--rate takes events a second, more than 0 and up to 1000000; not ${text}.`);
}

function tellRetention(context: Context, from: string, { keptSince }: Line): void {
  const since = isoOf(keptSince);
  if (from < since) context.say(`The log begins at ${since}; there is nothing older in it.`);
}

/** How to have the rest delivered. */
function resumeOf(wish: ReturnType<typeof wishOf>, last: Line | undefined): string {
  if (last === undefined || wish.dryRun !== undefined) return '';
  const { sink, device, type, rate } = wish;
  const given = {
    ...(device === undefined ? {} : { device }),
    ...(type === undefined ? {} : { type }),
    ...(rate === undefined ? {} : { rate }),
  };
  const { delivered, left } = last;
  const command = resumeCommandOf({ sink, ...left, ...given, delivered });
  return ` ${delivered} events were delivered. Go on with: ${command}`;
}

async function conclude(
  context: Context,
  wish: ReturnType<typeof wishOf>,
  last: Line | undefined,
  before: Line | undefined,
): Promise<number> {
  const { options } = context;
  const isDone = last?.state === 'done';
  if (last?.state === 'failed' && !context.signal.aborted) {
    const known = last.code in errorTable ? (last.code as ErrorCode) : 'GW_REPLAY_FAILED';
    const rest = known === 'GW_REPLAY_FAILED' ? resumeOf(wish, before) : '';
    throw new SaidByGateway(known, `${last.message}${rest}`);
  }
  if (options.json !== undefined && last !== undefined) {
    const { found, delivered, rejected } = last;
    await context.print(`${JSON.stringify({ done: isDone, found, delivered, rejected })}\n`);
  } else if (isDone && options['dry-run'] !== undefined) {
    context.say(`${last.found} events would be delivered to ${options.sink} again.`);
  } else {
    const { delivered = 0, rejected = 0 } = last ?? {};
    const refused = rejected === 0 ? '' : `, ${rejected} refused: tidegate letters list`;
    context.say(
      `${isDone ? 'Done' : 'Stopped before the end'}: ${delivered} events delivered to ${options.sink} again${refused}.`,
    );
    if (!isDone) context.say(resumeOf(wish, before).trim());
  }
  return isDone ? exitStatus.done : exitStatus.failed;
}

interface Terminal {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

const barWidth = 30;

/** One line that is written over, on a terminal; nothing in a pipe. */
function createBar({ options }: Context, terminal: Terminal) {
  const isShown = terminal.isTTY === true && options.json === undefined;
  return {
    show({ state, first, last, position, found, delivered, trouble }: Line): void {
      if (!isShown || state === 'failed') return;
      const share = last < first ? 1 : (position - first + 1) / (last - first + 1);
      const filled = Math.round(Math.min(1, Math.max(0, share)) * barWidth);
      const bar = `${'#'.repeat(filled)}${'.'.repeat(barWidth - filled)}`;
      const count = options['dry-run'] === undefined ? `${delivered} delivered` : `${found} found`;
      const problem = trouble === undefined ? '' : `  waiting: ${trouble.slice(0, 60)}`;
      terminal.write(`\r\x1b[K[${bar}] ${Math.floor(share * 100)} %  ${count}${problem}`);
    },
    clear(): void {
      if (isShown) terminal.write('\r\x1b[K');
    },
  };
}
