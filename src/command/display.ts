import { type CloudEvent, isInternal, type Value } from '../event/event.ts';
import type { Clock } from '../platform/clock.ts';

/** Where the display writes; `columns` is asked for again with every line. */
export interface Screen {
  write(text: string): unknown;
  readonly isTerminal: boolean;
  readonly columns?: number | undefined;
}

export interface DisplayOptions {
  readonly out: Screen;
  readonly clock: Clock;
  /** Events each reader is behind, by its name: `<sink>/<lane>`, or a part of the gateway. */
  readonly waiting?: () => Readonly<Record<string, number>>;
  /** Without it: on a terminal, unless NO_COLOR is set. */
  readonly color?: boolean;
  /** Tells the process that started this one; without it, over the channel between them if any. */
  readonly tellParent?: (message: { readonly addresses: readonly string[] }) => void;
}

export interface StartedAt {
  /** Where devices connect, as URLs. */
  readonly addresses: readonly string[];
  /** The address of the admin server, as a URL. */
  readonly admin?: string | undefined;
  readonly dataDir: string;
}

/**
 * What a person sees of a running gateway: where to connect, one line of state, every alert in
 * words. Counts events and looks at the last one only, so it costs next to nothing at any rate.
 */
export interface Display {
  started(at: StartedAt): void;
  event(event: CloudEvent): void;
  events(events: readonly CloudEvent[]): void;
  /** The last words. Nothing is written afterwards. */
  stopped(counts: {
    readonly received: number;
    readonly stored: number;
    readonly delivered: number;
  }): void;
}

const terminalRefreshMs = 250;
const pipeRefreshMs = 5_000;
const rateOverMs = 5_000;
/** Names that are remembered to be counted, of devices and of incidents. */
const namesMax = 10_000;
/** Alerts that are printed between two refreshes; the others are counted. */
const alertLinesMax = 20;
const erase = '\r\x1b[K';

export function createDisplay(options: DisplayOptions): Display {
  const { out, clock } = options;
  const color = options.color ?? (out.isTerminal && !process.env.NO_COLOR);
  const tellParent = options.tellParent ?? ((message) => void process.send?.(message));
  const refreshMs = out.isTerminal ? terminalRefreshMs : pipeRefreshMs;
  const ended = new AbortController();
  const tally = createTally();
  const rate = createRate(clock);
  let shown = '';
  let alertLines = 0;

  const print = (line: string): void => {
    out.write(`${shown === '' ? '' : erase}${line}\n`);
    shown = '';
  };
  const printAlert = (event: CloudEvent<'alert'>): void => {
    alertLines += 1;
    if (alertLines <= alertLinesMax) print(alertLine(event, color));
  };
  const refresh = (): void => {
    if (alertLines > alertLinesMax)
      print(`          and ${alertLines - alertLinesMax} more alerts`);
    alertLines = 0;
    const status = statusLine(tally, rate(tally.readings), options.waiting?.() ?? {});
    if (!out.isTerminal) {
      out.write(`${timeOf(clock.now())}  ${status}\n`);
      return;
    }
    // A terminal that does not know its width says 0.
    const line = cut(status, (out.columns || 80) - 1);
    // The cursor goes back to the margin, so that a line of the log begins there and not behind it.
    if (line !== shown) out.write(`${erase}${color ? `\x1b[2m${line}\x1b[22m` : line}\r`);
    shown = line;
  };
  const keepRefreshing = async (): Promise<void> => {
    while (!ended.signal.aborted) {
      refresh();
      await clock.sleep(refreshMs, ended.signal).catch(() => {});
    }
  };
  const take = (event: CloudEvent): void => {
    if (event.type !== 'heartbeat' && !isInternal(event.type)) tally.add(event);
    if (event.type === 'alert') printAlert(event);
  };

  return {
    started(at) {
      for (const line of welcome(at)) print(line);
      tellParent({ addresses: at.addresses });
      void keepRefreshing();
    },
    event: take,
    events(events) {
      for (const event of events) take(event);
    },
    stopped({ received, stored, delivered }) {
      ended.abort();
      const counts = [
        `${whole(received)} messages received`,
        `${whole(stored)} events stored`,
        `${whole(delivered)} delivered to sinks`,
      ];
      print(`Stopped: ${counts.join(', ')}.`);
    },
  };
}

interface Tally {
  add(event: CloudEvent): void;
  readonly readings: number;
  readonly undecodable: number;
  readonly rejected: number;
  readonly lost: number;
  readonly last: CloudEvent<'reading'> | undefined;
  readonly devices: ReadonlySet<string>;
  readonly firing: ReadonlySet<string>;
}

function createTally(): Tally {
  const devices = new Set<string>();
  const firing = new Set<string>();
  let lastDevice: string | undefined;
  const tally = {
    readings: 0,
    undecodable: 0,
    rejected: 0,
    lost: 0,
    last: undefined as CloudEvent<'reading'> | undefined,
    devices,
    firing,
    add(event: CloudEvent): void {
      if (event.type === 'reading') {
        tally.readings += 1;
        tally.last = event;
        if (event.subject !== lastDevice && devices.size < namesMax) devices.add(event.subject);
        lastDevice = event.subject;
      } else if (event.type === 'alert') {
        if (event.data.state === 'resolved') firing.delete(event.data.incident);
        else if (firing.size < namesMax) firing.add(event.data.incident);
      } else if (event.type === 'undecodable') tally.undecodable += 1;
      else if (event.type === 'rejected') tally.rejected += 1;
      else if (event.type === 'gap') tally.lost += event.data.to - event.data.from + 1;
    },
  };
  return tally;
}

/** Answers how many a second there were lately, given how many there have been. */
function createRate(clock: Clock): (count: number) => number {
  const samples: { readonly at: number; readonly count: number }[] = [];
  return (count) => {
    const at = clock.monotonic();
    samples.push({ at, count });
    while (samples.length > 2 && at - samples[1]!.at >= rateOverMs) samples.shift();
    const first = samples[0]!;
    return at > first.at ? ((count - first.count) * 1_000) / (at - first.at) : 0;
  };
}

function* welcome({ addresses, admin, dataDir }: StartedAt): Generator<string> {
  yield 'Tidegate is running. Ctrl-C stops it.';
  yield '';
  for (const address of addresses) yield `  devices connect to  ${visible(address)}`;
  if (admin !== undefined) yield `  health and metrics  ${visible(admin)}`;
  yield `  data is kept in     ${visible(dataDir)}`;
  const plain = addresses.find((address) => /^(mqtt|tcp):/.test(address));
  if (plain !== undefined && URL.canParse(plain)) {
    yield '';
    yield `  try it:  ${publishCommand(new URL(plain))}`;
  }
  yield '';
}

function publishCommand({ hostname, port }: URL): string {
  const host = /^(0\.0\.0\.0|\[::\]|)$/.test(hostname) ? '127.0.0.1' : hostname;
  const to = `-h ${host.replace(/[[\]]/g, '')} -p ${port || '1883'} -q 1`;
  return `mosquitto_pub ${to} -t sensors/my-device/climate -m '{"temperature": 31.2}'`;
}

/** `14:09:00  FIRING    gh-03 is at 31.2 °C (rule overheat, above 30)` */
function alertLine({ time, data }: CloudEvent<'alert'>, color: boolean): string {
  const { rule, state, summary, value, threshold } = data;
  const limit =
    state === 'firing' && typeof value === 'number' && threshold !== undefined
      ? `, ${value >= threshold ? 'above' : 'below'} ${threshold}`
      : '';
  const word = state === 'firing' ? 'FIRING  ' : 'RESOLVED';
  const code = state === 'firing' ? 31 : 32;
  const label = color ? `\x1b[${code}m${word}\x1b[39m` : word;
  return `${timeOf(time)}  ${label}  ${visible(summary)} (rule ${visible(rule)}${limit})`;
}

function statusLine(
  tally: Tally,
  perSecond: number,
  waiting: Readonly<Record<string, number>>,
): string {
  const { devices, firing, last } = tally;
  const parts = [
    `${whole(devices.size)}${devices.size < namesMax ? '' : '+'} ${devices.size === 1 ? 'device' : 'devices'}`,
    `${perSecond < 10 ? perSecond.toFixed(1) : whole(perSecond)} readings/s`,
  ];
  if (firing.size > 0) parts.push(`${whole(firing.size)} firing`);
  if (last !== undefined) parts.push(`${visible(last.subject)} ${fieldOf(last)}`);
  for (const [name, events] of waitingBySink(waiting)) {
    parts.push(`${visible(name)} ${events === 0 ? 'up to date' : `${whole(events)} waiting`}`);
  }
  if (tally.undecodable > 0) parts.push(`${whole(tally.undecodable)} unreadable`);
  if (tally.rejected > 0) parts.push(`${whole(tally.rejected)} rejected`);
  if (tally.lost > 0) parts.push(`${whole(tally.lost)} lost to the limits`);
  return parts.join(' · ');
}

/** A sink is as far behind as its slowest lane; parts of the gateway are named when they are behind. */
function waitingBySink(waiting: Readonly<Record<string, number>>): Map<string, number> {
  const sinks = new Map<string, number>();
  for (const [reader, events] of Object.entries(waiting)) {
    const [sink, lane] = reader.split('/') as [string, string?];
    if (lane !== undefined || events > 0) sinks.set(sink, Math.max(sinks.get(sink) ?? 0, events));
  }
  return sinks;
}

/** The first field of a reading. */
function fieldOf({ data }: CloudEvent<'reading'>): string {
  for (const name in data.fields) return visible(`${name} ${shortOf(data.fields[name]!)}`);
  return '';
}

function shortOf(value: Value): string {
  return typeof value === 'number' ? String(Math.round(value * 1_000) / 1_000) : String(value);
}

const visibleMax = 80;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what a terminal would obey.
const obeyed = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** A text from outside, made harmless: what a terminal would obey is written out instead. */
function visible(text: string): string {
  const short = text.length > visibleMax ? `${text.slice(0, visibleMax - 1)}…` : text;
  return short.replace(obeyed, (character) => {
    const code = character.charCodeAt(0);
    return code < 256
      ? `\\x${code.toString(16).padStart(2, '0')}`
      : `\\u${code.toString(16).padStart(4, '0')}`;
  });
}

const wide =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}]/u;

/** As much of a line as fits into so many columns. */
function cut(line: string, columns: number): string {
  let used = 0;
  let kept = '';
  for (const character of line) {
    used += wide.test(character) ? 2 : 1;
    if (used > columns) return kept;
    kept += character;
  }
  return kept;
}

const timeOf = (time: number): string => new Date(time).toTimeString().slice(0, 8);
const whole = (value: number): string => Math.round(value).toLocaleString('en');
