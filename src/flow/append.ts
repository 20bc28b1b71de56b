import type { Draft } from '../event/event.ts';
import type { EventLog } from '../log/log.ts';

/** Drafts in one append; the log takes an append whole, so a few must not wait for very many. */
const draftsMax = 500;

/**
 * Appends any number of drafts, in their order, in as many appends as the limits of the log ask for;
 * resolves when all are durable. `shortened` gives what is recorded of one that is too large alone.
 */
export async function appendAll(
  drafts: readonly Draft[],
  log: EventLog,
  shortened: (draft: Draft, error: Error) => Draft,
): Promise<void> {
  if (drafts.length > draftsMax) return await inParts(drafts, draftsMax, log, shortened);
  try {
    await log.append(drafts);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    if (drafts.length === 1) await log.append([shortened(drafts[0]!, error)]);
    else await inParts(drafts, Math.ceil(drafts.length / 2), log, shortened);
  }
}

async function inParts(
  drafts: readonly Draft[],
  size: number,
  log: EventLog,
  shortened: (draft: Draft, error: Error) => Draft,
): Promise<void> {
  const appends: Promise<void>[] = [];
  for (let from = 0; from < drafts.length; from += size) {
    appends.push(appendAll(drafts.slice(from, from + size), log, shortened));
  }
  await Promise.all(appends);
}
