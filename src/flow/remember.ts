import type { IngestMapping } from '../codec/mapping-options.ts';
import type { EventLog, Position } from '../log/log.ts';
import { createDuplicateWindow, type DuplicateWindow } from './duplicates.ts';

const duplicateWindowIds = 100_000;

/** Whether any message may say what makes it unique. */
export function haveIdentities(mappings: readonly IngestMapping[]): boolean {
  return mappings.some((mapping) => mapping.identity.length > 0);
}

/** The ids of messages that devices may repeat, read back from the log. */
export async function rememberIdentities(
  log: EventLog,
  signal: AbortSignal,
): Promise<DuplicateWindow> {
  const window = createDuplicateWindow(duplicateWindowIds);
  const { first, last } = log;
  const reader = log.reader(Math.max(first - 1, last - duplicateWindowIds) as Position);
  try {
    while (reader.position < last) {
      for (const entry of await reader.next(1_000, signal)) {
        if (entry.type === 'reading') window.remember(entry.id);
      }
    }
  } finally {
    reader.close();
  }
  return window;
}
