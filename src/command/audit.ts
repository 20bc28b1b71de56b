import { realpath } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { fromState } from '../flow/account.ts';
import { createAudit, type LaneBalance, type LogBooks } from '../flow/audit.ts';
import { laneUsesOf } from '../flow/lanes.ts';
import { createRecount, type Recount } from '../flow/recount.ts';
import { readCursorFile } from '../log/cursor-file.ts';
import { type LogInspector, openLogInspector } from '../log/inspect.ts';
import { noKeys } from '../log/keyring.ts';
import type { Entry, Position } from '../log/log.ts';
import { savedLineOf } from '../log/record-lines.ts';
import type { Disk } from '../platform/disk.ts';
import { GatewayError } from '../platform/errors.ts';
import { createFileDisk } from '../platform/file-disk.ts';
import { folderReadProblem } from '../platform/lock.ts';
import { silentLogger } from '../platform/logger.ts';
import { systemRandom } from '../platform/random.ts';
import { openSecrets } from '../platform/secrets.ts';
import { createSystemClock } from '../platform/system-clock.ts';
import { type AuditReport, isBalanced, reportOf, tableOf } from './audit-table.ts';
import { type Command, type Context, configOption, dataOption, exitStatus } from './command.ts';
import { logKeysOf } from './log-keys.ts';
import { createSinkUses } from './parts.ts';
import { version } from './version.ts';

const askMaxMs = 5_000;
/** A log that is being written moves on while it is read. */
const attemptsMax = 5;
const progressMs = 500;

/** What became of every event on its way to every sink; fails when events are unaccounted for. */
export const audit: Command = {
  name: 'audit',
  summary: 'Balance the books: what became of every event on its way to every sink.',
  usage: '[--recount] [--json] [--config FILE] [--data DIR]',
  options: {
    recount: { description: 'Also read the whole log and count again what the books say of it.' },
    json: { description: 'Print one JSON object.' },
    config: configOption,
    data: dataOption,
  },
  notes: `received = delivered + waiting + rejected + expired + dropped. Exits with 1, and says which
positions, when that does not hold, and which lanes, when the books cannot be read. Asks a running
gateway for its books, over its admin address; reads those on the disk otherwise. Never writes.`,
  async run(context) {
    const { config, folder } = await loadConfig({
      environment: context.environment,
      cwd: context.cwd,
      ...(context.options.config === undefined ? {} : { path: context.options.config }),
    });
    const given = context.options.data;
    const dir = given === undefined ? config.data.dir : resolve(context.cwd, given);
    const problem = await folderReadProblem(dir);
    if (problem !== undefined) throw new GatewayError('GW_DATA_UNREADABLE', problem);
    const report = await examine(dir, config, folder, context);
    if (report === undefined) return exitStatus.failed;
    await context.print(
      context.options.json === undefined ? tableOf(report) : `${JSON.stringify(report)}\n`,
    );
    return isBalanced(report) ? exitStatus.done : exitStatus.failed;
  },
};

type AcceptsOf = (reader: string) => ((entry: Entry) => boolean) | undefined;

/** Undefined when the user has had enough. */
async function examine(
  dir: string,
  config: Config,
  folder: string,
  context: Context,
): Promise<AuditReport | undefined> {
  const disk = createFileDisk(dir);
  const keys = await logKeysOf(config.log, openSecrets(folder, context.environment));
  const inspector = await openLogInspector(disk, keys);
  const accepts = filtersOf(config, folder);
  const acceptsOf: AcceptsOf = (reader) => accepts.get(reader);
  const progress = createProgress(context);
  const books = async () => {
    const asked = await askGateway(dir, config);
    const { isDamaged, ...found } = asked ?? (await booksOnDisk(disk, inspector, keys));
    // Of a sink that is not configured nobody can say what it would want.
    const lanes = found.lanes.filter(({ reader }) => accepts.has(reader));
    const hasBooks = new Set(lanes.map(({ reader }) => reader));
    const unread = isDamaged === true ? [...accepts.keys()].filter((it) => !hasBooks.has(it)) : [];
    return { isRunning: asked !== undefined, unread, books: { ...found, lanes } };
  };
  let now = await books();
  for (let attempt = 1; ; attempt++) {
    const lanes = await balance(now.books, inspector, acceptsOf, context, progress);
    if (lanes === undefined) return undefined;
    const last = attempt === attemptsMax || lanes.every(({ missing }) => missing.length === 0);
    const next = last ? now : await books();
    if (last || !hasMoved(now.books, next.books)) {
      const recount = await recounted(now.books, inspector, acceptsOf, context, progress);
      progress.end();
      return reportOf(lanes, { ...now, folder: dir, recount });
    }
    // What is missing may have been delivered meanwhile, and then made room.
    now = next;
  }
}

async function balance(
  books: LogBooks,
  inspector: LogInspector,
  acceptsOf: AcceptsOf,
  { signal }: Context,
  progress: Progress,
): Promise<readonly LaneBalance[] | undefined> {
  const counted = createAudit(books, acceptsOf);
  for (const { from, to } of counted.unread) {
    for await (const entries of inspector.entries({ after: (from - 1) as Position })) {
      if (signal.aborted) return undefined;
      counted.add(entries.filter(({ position }) => position <= to));
      const { position } = entries.at(-1)!;
      progress.show(position, books.last);
      if (position >= to) break;
    }
  }
  return counted.lanes();
}

async function recounted(
  books: LogBooks,
  inspector: LogInspector,
  acceptsOf: AcceptsOf,
  { options, signal }: Context,
  progress: Progress,
): Promise<Recount | undefined> {
  if (options.recount === undefined) return undefined;
  const recount = createRecount(books, acceptsOf);
  for await (const entries of inspector.entries()) {
    if (signal.aborted) return undefined;
    recount.add(entries);
    progress.show(entries.at(-1)!.position, books.last);
  }
  return recount;
}

const hasMoved = (before: LogBooks, now: LogBooks): boolean =>
  before.first !== now.first ||
  before.lanes.some(({ reached }, index) => now.lanes[index]?.reached !== reached);

/** What each lane of the configured sinks carries. */
function filtersOf(config: Config, folder: string): Map<string, (entry: Entry) => boolean> {
  const doors = {
    clock: createSystemClock(),
    random: systemRandom,
    logger: silentLogger,
    secrets: openSecrets(folder),
    version,
  };
  const uses = createSinkUses(config, doors).flatMap(laneUsesOf);
  return new Map(uses.map(({ reader, accepts }) => [reader, accepts]));
}

/** The books on the disk; some that should be there cannot be read when it is damaged. */
type BooksOnDisk = LogBooks & { readonly isDamaged?: boolean };

/** The books as they were saved last, and the log as it is. */
export async function booksOnDisk(
  disk: Disk,
  inspector: LogInspector,
  keys = noKeys,
): Promise<BooksOnDisk> {
  const saved = await readCursorFile(disk, silentLogger, keys);
  const cursors = [...saved.lines.values()].map(savedLineOf);
  const { first, last, thinned } = await inspector.stat();
  const lanes = cursors
    .filter(({ name }) => name.includes('/'))
    .map(({ name, position, state }) => fromState(name, position, state));
  // Nobody has read what is behind the newest event: positions there stand for events that are gone.
  const reached = Math.max(last, ...lanes.map((books) => books.reached));
  return { first, last: reached, thinned, lanes, isDamaged: saved.damaged.length > 0 };
}

/** The books of the gateway that runs on that folder, if there is one. */
async function askGateway(dir: string, config: Config): Promise<BooksOnDisk | undefined> {
  const { host, port } = config.admin.listen;
  const name = /^(0\.0\.0\.0|::)$/.test(host) ? '127.0.0.1' : host;
  const url = `http://${name.includes(':') ? `[${name}]` : name}:${port}/api/v1/audit`;
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(askMaxMs) });
    if (!answer.ok) return undefined;
    const { folder, ...books } = (await answer.json()) as LogBooks & { folder: string };
    return (await realpath(folder)) === (await realpath(dir)) ? books : undefined;
  } catch {
    // Nobody answers there, or somebody else.
    return undefined;
  }
}

interface Progress {
  show(position: number, last: number): void;
  end(): void;
}

/** On a terminal only. */
function createProgress({ options }: Context): Progress {
  const { stderr } = process;
  const isShown = stderr.isTTY === true && options.json === undefined;
  let shownAt = Date.now();
  let isThere = false;
  return {
    show(position, last) {
      if (!isShown || Date.now() - shownAt < progressMs) return;
      shownAt = Date.now();
      isThere = true;
      stderr.write(`\r\x1b[KReading the log: position ${position} of ${last} `);
    },
    end() {
      if (isThere) stderr.write('\r\x1b[K');
    },
  };
}
