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

/**
 * The same, where drafts that belong together are appended together: each of `starts` is the first of
 * those of one message. Resolves with the positions of the `message` drafts, in their order: 0 for one
 * that is too large for the log.
 */
export async function appendTogether(
  drafts: readonly Draft[],
  starts: ReadonlySet<Draft>,
  log: EventLog,
  shortened: (draft: Draft, error: Error) => Draft,
): Promise<readonly number[]> {
  if (drafts.length > draftsMax) {
    const cut = cutOf(drafts, starts, draftsMax);
    if (cut !== undefined) return await inTwo(drafts, cut, starts, log, shortened);
  }
  try {
    const last = await log.append(drafts);
    const before = last - drafts.length + 1;
    return drafts.flatMap(({ type }, index) => (type === 'message' ? [before + index] : []));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    if (drafts.length === 1) {
      // What can be read of the message is recorded beside it; its sessions have it in memory only.
      if (drafts[0]!.type === 'message') return [0];
      await log.append([shortened(drafts[0]!, error)]);
      return [];
    }
    const half = Math.ceil(drafts.length / 2);
    // One message that is too large goes in pieces all the same; it is acknowledged after the last.
    const cut = cutOf(drafts, starts, half) ?? half;
    return await inTwo(drafts, cut, starts, log, shortened);
  }
}

async function inTwo(
  drafts: readonly Draft[],
  cut: number,
  starts: ReadonlySet<Draft>,
  log: EventLog,
  shortened: (draft: Draft, error: Error) => Draft,
): Promise<readonly number[]> {
  const parts = [drafts.slice(0, cut), drafts.slice(cut)];
  const appends = parts.map((part) => appendTogether(part, starts, log, shortened));
  return (await Promise.all(appends)).flat();
}

/** Where a message begins, as near to `wanted` as may be: before it, else behind. */
function cutOf(
  drafts: readonly Draft[],
  starts: ReadonlySet<Draft>,
  wanted: number,
): number | undefined {
  for (let at = wanted; at > 0; at--) if (starts.has(drafts[at]!)) return at;
  for (let at = wanted + 1; at < drafts.length; at++) if (starts.has(drafts[at]!)) return at;
  return undefined;
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
