/** Events as lines of CloudEvents JSON (NDJSON) in a folder; see `archive.ts` for the files in it. */
import { resolve } from 'node:path';
import { z } from 'zod';
import { toCloudEventsText } from '../event/cloudevents-json.ts';
import type { CloudEvent } from '../event/event.ts';
import { duration, size } from '../kind/kind.ts';
import { GatewayError, messageOf } from '../platform/errors.ts';
import { createFileDisk } from '../platform/file-disk.ts';
import { makeFolder } from '../platform/folder.ts';
import { folderProblem } from '../platform/lock.ts';
import { openArchive } from './archive.ts';
import { createShared } from './shared.ts';
import { factTypes, type Sink } from './sink.ts';
import type { SinkKind } from './sink-kind.ts';

const options = z.strictObject({
  path: z
    .string()
    .min(1)
    .describe(
      'The folder; relative to the data folder. No two sinks may share one, or have one within the other.',
    ),
  rotate: duration
    .refine((ms) => ms >= 1_000, 'must be 1s at least')
    .prefault('24h')
    .describe('A new file begins with each such span of UTC time: 24h is one file a day.'),
  rotateSize: size
    .prefault('64MiB')
    .describe(
      'A new file begins before one grows beyond this, or beyond half of keep. A larger event has a file of its own.',
    ),
  keep: z
    .union([
      z
        .int()
        .min(1)
        .transform((files) => ({ files, bytes: Number.POSITIVE_INFINITY })),
      size
        .refine((bytes) => bytes > 0, 'must be more than nothing')
        .transform((bytes) => ({ files: Number.POSITIVE_INFINITY, bytes })),
    ])
    .prefault('1GiB')
    .describe(
      'The oldest files are removed beyond this: a number of files, or a size of all together with its unit.',
    ),
});

/** Events in files. They are on disk, synced, before they count as taken. */
export const fileKind: SinkKind<typeof options> = {
  options,
  batch: { events: 1_000, bytes: 1_048_576, delayMs: 1_000 },
  create({ path, rotate, rotateSize, keep }, { name, dataFolder, clock, logger }): Sink {
    const folder = resolve(dataFolder ?? '.', path);
    const disk = createFileDisk(folder);
    const rotateBytes = Math.min(rotateSize, Math.floor(keep.bytes / 2));
    const limits = { rotateMs: rotate, rotateBytes, keepFiles: keep.files, keepBytes: keep.bytes };
    // One for all connections: two would each write at an end of their own.
    const shared = createShared(async () => {
      await prepare(folder);
      return await openArchive(disk, limits, logger);
    }, clock);
    return {
      name,
      types: factTypes,
      async connect(signal) {
        signal.throwIfAborted();
        const use = await shared.use(signal);
        return {
          async deliver(events, signal) {
            const lines = Buffer.from(linesOf(events));
            await use.run(async (archive) => await archive.append(lines, clock.now()), signal);
            return [];
          },
          close: use.end,
        };
      },
    };
  },
};

/** Whoever connects knows then that the folder is there, and that files can be made in it. */
async function prepare(folder: string): Promise<void> {
  const remedy = 'Give the user that runs Tidegate write access to it, or choose another path.';
  const problem = await folderProblem(folder);
  if (problem !== undefined) throw new GatewayError('GW_SINK_UNAVAILABLE', `${problem}. ${remedy}`);
  try {
    await makeFolder(folder);
  } catch (error) {
    const detail = `${folder} cannot be created: ${messageOf(error)}. ${remedy}`;
    throw new GatewayError('GW_SINK_UNAVAILABLE', detail, error);
  }
}

function linesOf(events: readonly CloudEvent[]): string {
  let lines = '';
  for (const event of events) lines += `${toCloudEventsText(event)}\n`;
  return lines;
}
