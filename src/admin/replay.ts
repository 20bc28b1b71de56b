/**
 * Replay by HTTP:
 *
 *   POST /api/v1/replay   {"sink":"influx","from":"2026-11-20T14:00:00Z","to":…,"device":…,
 *                          "type":…,"rate":1000,"dryRun":false}
 *
 * answers with a line of JSON now and then, `{"state":"running",…}`, and a last one whose state is
 * `done` or `failed`. Who closes the request stops the replay.
 *
 *   GET  /api/v1/replay          {"replays":[{"sink":"influx","from":"…","rate":1000,"dryRun":false,
 *                                 "resumed":true,"position":…,"delivered":…,…}]}
 *   POST /api/v1/replay/cancel   {"sink":"influx"}; answers with that replay as it was
 */
import { z } from 'zod';
import { GatewayError, messageOf } from '../platform/errors.ts';
import { type Answer, answerOfError } from './answer.ts';

const time = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text));
const patterns = z.union([z.string().min(1), z.array(z.string().min(1)).min(1).max(100)]);

/** What a POST asks to be delivered again. */
export const replaySchema = z.strictObject({
  sink: z.string().min(1),
  from: time,
  to: time.optional(),
  device: patterns.optional(),
  type: patterns.optional(),
  rate: z.number().positive().max(1_000_000).optional(),
  dryRun: z.boolean().optional(),
});

export interface ReplayWish {
  readonly sink: string;
  readonly from: number;
  readonly to?: number;
  readonly device?: string | readonly string[];
  readonly type?: string | readonly string[];
  readonly rate?: number;
  readonly dryRun?: boolean;
}

/** Which replay a POST ends. */
export const cancelSchema = z.strictObject({ sink: z.string().min(1) });

/** A replay that is under way. */
interface Running {
  readonly sink: string;
  readonly from: number;
  readonly to?: number | undefined;
  readonly rate?: number | undefined;
  readonly dryRun: boolean;
  readonly isResumed: boolean;
  readonly progress?: object;
}

/** The replays that are under way. */
export interface ReplayTable {
  list(): readonly Running[];
  /** Rejects with a `GatewayError` when there is none to that sink. */
  cancel(sink: string): Promise<Running>;
}

/** A replay as JSON has it, with times as texts. */
export function shownReplay({
  sink,
  from,
  to,
  rate,
  dryRun,
  isResumed,
  progress,
}: Running): object {
  const iso = (time: number): string => new Date(time).toISOString();
  return {
    ...{ sink, from: iso(from), ...(to === undefined ? {} : { to: iso(to) }) },
    ...{ rate, dryRun, resumed: isResumed, ...progress },
  };
}

/** Replays, telling now and then how far it is; rejects with a `GatewayError` when it cannot. */
export type ReplayOperation = (
  wish: ReplayWish,
  signal: AbortSignal,
  onProgress: (progress: object) => void,
) => Promise<object>;

/** Resolves as soon as the replay has begun, or with the reason why it cannot. */
export async function replayAnswer(
  replay: ReplayOperation,
  given: z.output<typeof replaySchema>,
): Promise<Answer> {
  const wish = Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  ) as unknown as ReplayWish;
  const stop = new AbortController();
  const lines: string[] = [];
  let write = (line: string): void => void lines.push(line);
  let begun = (): void => {};
  const running = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const ended = replay(wish, stop.signal, (progress) => {
    write(JSON.stringify({ state: 'running', ...progress }));
    begun();
  });
  ended.catch(() => {});
  await Promise.race([running, ended]);
  return {
    status: 200,
    type: 'application/x-ndjson; charset=utf-8',
    body: async (out, gone) => {
      write = out;
      for (const line of lines) out(line);
      const leave = (): void => stop.abort(gone.reason);
      gone.addEventListener('abort', leave, { once: true });
      if (gone.aborted) leave();
      try {
        out(JSON.stringify({ state: 'done', ...(await ended) }));
      } catch (error) {
        out(JSON.stringify({ state: 'failed', ...reasonOf(error) }));
      } finally {
        gone.removeEventListener('abort', leave);
      }
    },
  };
}

function reasonOf(error: unknown): object {
  if (answerOfError(error) !== undefined) {
    const { code, message } = error as GatewayError;
    return { code, message };
  }
  const { code, message } = new GatewayError('GW_REPLAY_FAILED', messageOf(error));
  return { code, message };
}
