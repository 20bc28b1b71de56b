import { GatewayEnds, GatewayError, messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import { type Replay, type ReplayParts, type ReplayProgress, replay } from './replay.ts';
import { type Note, resumeCommandOf } from './replay-notes.ts';

/** A replay that is under way. */
export interface RunningReplay {
  readonly sink: string;
  /** What was asked for: recorded from this time, up to that. */
  readonly from: number;
  readonly to?: number | undefined;
  readonly rate?: number | undefined;
  readonly dryRun: boolean;
  /** Begun in an earlier life of the gateway: nobody waits for its outcome. */
  readonly isResumed: boolean;
  readonly progress?: ReplayProgress;
}

/** All replays there are: at most one for each sink. */
export interface Replays {
  readonly run: Replay;
  list(): readonly RunningReplay[];
  /** Ends the one to that sink, for good. Throws GW_REPLAY_NONE. */
  cancel(sink: string): Promise<RunningReplay>;
  /** Takes up what the life before has left, and resolves when all of that has ended. Never rejects. */
  resume(): Promise<void>;
  /** Resolves when those that are running have ended, and that is noted. */
  idle(): Promise<unknown>;
}

interface Running {
  shown: RunningReplay;
  readonly stop: AbortController;
  readonly ended: Promise<unknown>;
}

/**
 * Delivers history over connections of its own: cursors stay where they are and live delivery goes on.
 * `run` throws GW_SINK_UNKNOWN, GW_REPLAY_RUNNING or GW_REPLAY_EMPTY; when the gateway ends in the middle
 * GW_REPLAY_INTERRUPTED, and the next life goes on with it.
 */
export function createReplays(parts: ReplayParts & { readonly logger: Logger }): Replays {
  const { logger, notes, ending } = parts;
  const running = new Map<string, Running>();

  const start = async (
    request: Parameters<Replay>[0],
    signal: AbortSignal,
    onProgress: Parameters<Replay>[2],
    note?: Note,
  ): Promise<ReplayProgress> => {
    const { sink, from, to, rate, dryRun = false } = request;
    const use = parts.sinks.find((each) => each.sink.name === sink);
    if (use === undefined) {
      const names = parts.sinks.map((each) => each.sink.name).join(', ');
      throw new GatewayError('GW_SINK_UNKNOWN', `${sink}. There are: ${names || 'none'}`);
    }
    if (running.has(sink)) throw new GatewayError('GW_REPLAY_RUNNING', sink);
    const stop = new AbortController();
    const any = AbortSignal.any([signal, stop.signal, ending]);
    const shown = { sink, from, to, rate, dryRun, isResumed: note !== undefined };
    let over!: () => void;
    const ended = new Promise<void>((resolve) => {
      over = resolve;
    });
    const mine: Running = { shown, stop, ended };
    running.set(sink, mine);
    const tell = (progress: ReplayProgress): void => {
      mine.shown = { ...shown, progress };
      onProgress(progress);
    };
    const goesOn = (): boolean => any.reason instanceof GatewayEnds && !dryRun;
    try {
      return await replay(request, use, parts, any, tell, note);
    } catch (error) {
      if (!goesOn()) throw error;
      const { delivered = 0 } = mine.shown.progress ?? {};
      throw new GatewayError('GW_REPLAY_INTERRUPTED', `${delivered} events were delivered.`);
    } finally {
      running.delete(sink);
      if (!dryRun && !goesOn()) await notes.remove(sink);
      // One made of others lives, with whoever has waited under it, until it is aborted.
      stop.abort();
      over();
    }
  };

  const takeUp = async (note: Note): Promise<void> => {
    const { sink, since, to, device, type, rate, delivered } = note;
    const request = {
      ...{ sink, from: since },
      ...(to === undefined ? {} : { to }),
      ...(device === undefined ? {} : { device }),
      ...(type === undefined ? {} : { type }),
      ...(rate === undefined ? {} : { rate }),
    };
    logger.info({ sink, delivered }, 'A replay that was interrupted goes on.');
    try {
      const done = await start(request, new AbortController().signal, () => {}, note);
      logger.info(
        { sink, delivered: done.delivered, rejected: done.rejected },
        'The replay that was interrupted has come to its end.',
      );
    } catch (error) {
      if (error instanceof GatewayError && error.code === 'GW_REPLAY_INTERRUPTED') return;
      if (error instanceof GatewayError && error.code === 'GW_SINK_UNKNOWN')
        await notes.remove(sink);
      logger.warn(
        { sink, error: messageOf(error), resume: resumeCommandOf(note) },
        'A replay that was interrupted does not go on.',
      );
    }
  };

  return {
    run: async (request, signal, onProgress) => await start(request, signal, onProgress),
    list: () => [...running.values()].map(({ shown }) => shown),
    async cancel(sink) {
      const mine = running.get(sink);
      if (mine === undefined) throw new GatewayError('GW_REPLAY_NONE', sink);
      mine.stop.abort(new GatewayError('GW_REPLAY_FAILED', 'it was cancelled.'));
      await mine.ended;
      return mine.shown;
    },
    idle: async () => await Promise.all([...running.values()].map(({ ended }) => ended)),
    async resume() {
      await Promise.all((await notes.unfinished()).map(takeUp));
    },
  };
}
