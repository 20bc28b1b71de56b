import { openLogInspector } from '../../src/log/inspect.ts';
import type { Entry, Position } from '../../src/log/log.ts';
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

/** What the log has been seen to hold, kept also when it no longer does. */
export interface Books {
  /** Where each message of the fleet was recorded. */
  readonly positions: ReadonlyMap<string, readonly number[]>;
  readonly gaps: readonly (Span & { readonly reader: string })[];
  readonly alerts: ReadonlyMap<string, { readonly incident: string; readonly position: number }>;
  readonly last: number;
  /** Reads what is new. The gateway must not run, and what is read must have reached the disk. */
  read(dataDir: string): Promise<void>;
}

export function createBooks(): Books {
  const positions = new Map<string, number[]>();
  const gaps = new Map<string, Span & { reader: string }>();
  const alerts = new Map<string, { incident: string; position: number }>();
  let last = 0;

  const note = (entry: Entry): void => {
    const { position } = entry;
    if (entry.type === 'reading') {
      const { boot, seq } = entry.data.fields;
      if (!isCounted(boot)) return;
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
      const inspector = await openLogInspector(createFileDisk(dataDir));
      for await (const entries of inspector.entries({ after: last as Position })) {
        for (const entry of entries) note(entry);
        last = Math.max(last, entries.at(-1)!.position);
      }
    },
  };
}

export const isWithin = (position: number, spans: readonly Span[]): boolean =>
  spans.some(({ from, to }) => position >= from && position <= to);
