import { openLogInspector } from '../../src/log/inspect.ts';
import type { Entry, Position } from '../../src/log/log.ts';
import { findSegments } from '../../src/log/recovery.ts';
import { createFileDisk } from '../../src/platform/file-disk.ts';

export interface Span {
  readonly from: number;
  readonly to: number;
}

/** Names a message of the fleet, wherever it is met. */
export const keyOf = (device: unknown, boot: unknown, seq: unknown): string =>
  `${device} ${boot} ${seq}`;

/** Messages of the fleet say from which life of their device they are; others are not counted. */
export const isCounted = (boot: unknown): boolean => boot !== undefined && Number(boot) >= 0;

const isNoted = ({ type, data }: Entry): boolean =>
  type === 'gap' || type === 'alert' || (type === 'reading' && isCounted(data.fields.boot));

/** What the log has been seen to hold, kept also when it no longer does. */
export interface Books {
  /** Where each message of the fleet was recorded. */
  readonly positions: ReadonlyMap<string, readonly number[]>;
  readonly gaps: readonly (Span & { readonly reader: string })[];
  readonly alerts: ReadonlyMap<string, { readonly incident: string; readonly position: number }>;
  readonly last: number;
  /** Reads what is new. The gateway must not run, and what is read must have reached the disk. */
  read(dataDir: string): Promise<void>;
  /**
   * Reads what is new while the gateway runs, so that what leaves the log before the next `read` is
   * known: it counts then, unless a power cut has taken it. Does nothing while `read` is due.
   */
  glance(dataDir: string): Promise<void>;
  /** No file of the log is open when this resolves, nor will be by a glance until the next `read` is over. */
  close(): Promise<void>;
}

export function createBooks(): Books {
  const positions = new Map<string, number[]>();
  const gaps = new Map<string, Span & { reader: string }>();
  const alerts = new Map<string, { incident: string; position: number }>();
  let last = 0;
  // What was met by a glance since the last read; up to there it stays what it is.
  let met: Entry[] = [];
  let metUpTo = 0;
  // In the newest file: what could not be synced there is taken back, and its position given to another.
  let unsure: { readonly file: number; readonly met: Entry[] } = { file: 0, met: [] };
  let glancing = Promise.resolve();
  let isClosed = false;

  const note = (entry: Entry): void => {
    const { position } = entry;
    if (!isNoted(entry)) return;
    if (entry.type === 'reading') {
      const { boot, seq } = entry.data.fields;
      const key = keyOf(entry.subject, boot, seq);
      const before = positions.get(key);
      if (before === undefined) positions.set(key, [position]);
      else before.push(position);
    } else if (entry.type === 'gap') {
      const { reader, from, to } = entry.data;
      gaps.set(entry.id, { reader, from, to });
    } else if (entry.type === 'alert') {
      alerts.set(`${entry.data.incident} ${entry.data.state}`, {
        incident: entry.data.incident,
        position,
      });
    }
  };
  const look = async (dataDir: string): Promise<void> => {
    const files = (await findSegments(createFileDisk(dataDir))).map(({ first }) => first);
    const newest = files.at(-1) ?? 0;
    // What is gone cannot be looked at again.
    if (!files.includes(unsure.file)) {
      met.push(...unsure.met);
      unsure = { file: 0, met: [] };
    }
    const again: Entry[] = [];
    for await (const entries of entriesAfter(dataDir, metUpTo)) {
      for (const entry of entries.filter(isNoted)) {
        if (entry.position < newest) met.push(entry);
        else again.push(entry);
      }
      metUpTo = Math.max(metUpTo, Math.min(entries.at(-1)!.position, newest - 1));
      if (isClosed) return;
    }
    unsure = { file: newest, met: again };
  };
  return {
    positions,
    alerts,
    get gaps() {
      return [...gaps.values()];
    },
    get last() {
      return last;
    },
    async read(dataDir) {
      await this.close();
      const there = new Set<number>();
      for await (const entries of entriesAfter(dataDir, last)) {
        for (const entry of entries) {
          there.add(entry.position);
          note(entry);
        }
        last = Math.max(last, entries.at(-1)!.position);
      }
      // Beyond the last was lost with the power, and its position is given to another.
      for (const entry of [...met, ...unsure.met]) {
        if (entry.position > last || there.has(entry.position)) continue;
        there.add(entry.position);
        note(entry);
      }
      met = [];
      unsure = { file: 0, met: [] };
      metUpTo = last;
      isClosed = false;
    },
    async glance(dataDir) {
      if (isClosed) return;
      glancing = look(dataDir);
      await glancing;
    },
    async close() {
      isClosed = true;
      await glancing.catch(() => {});
    },
  };
}

async function* entriesAfter(dataDir: string, after: number): AsyncIterable<readonly Entry[]> {
  const inspector = await openLogInspector(createFileDisk(dataDir));
  yield* inspector.entries({ after: after as Position });
}

export const isWithin = (position: number, spans: readonly Span[]): boolean =>
  spans.some(({ from, to }) => position >= from && position <= to);
