import type { Entry } from '../log/log.ts';
import type { Sink } from '../sink/sink.ts';
import type { CatchUp } from './catch-up.ts';
import type { Lane } from './deliver.ts';
import { withRedriven } from './letters.ts';
import type { Retry } from './supervise.ts';

/** A sink as the operator wants it used. */
export interface SinkUse {
  readonly sink: Sink;
  readonly accepts: (entry: Entry) => boolean;
  /** Which of its two lanes can have anything to carry; both unless said. */
  readonly lanes?: { readonly alerts: boolean; readonly readings: boolean };
  readonly batch: Lane['batch'];
  readonly retry: Retry;
  readonly expireMs?: number;
  /** Where a sink that is new begins. */
  readonly from: 'oldest' | 'newest';
  /** What becomes of readings that it could not take in time; without it they come first. */
  readonly catchUp?: CatchUp;
}

/** What a lane of a sink carries. */
export interface LaneUse {
  /** `<sink>/<lane>`. */
  readonly reader: string;
  readonly accepts: (entry: Entry) => boolean;
  readonly catchUp?: CatchUp;
}

/** One lane for readings and one for everything else, as far as the sink wants them. */
export function laneUsesOf(selection: LaneSelection): readonly LaneUse[] {
  const { sink, lanes, catchUp } = selection;
  const accepts = withRedriven(sink.name, selection.accepts);
  const uses: LaneUse[] = [];
  if (lanes?.alerts !== false) {
    uses.push({
      reader: `${sink.name}/alerts`,
      accepts: (entry) => entry.type !== 'reading' && accepts(entry),
    });
  }
  if (lanes?.readings !== false) {
    uses.push({
      reader: `${sink.name}/readings`,
      accepts: (entry) => entry.type === 'reading' && accepts(entry),
      ...(catchUp === undefined ? {} : { catchUp }),
    });
  }
  return uses;
}
type LaneSelection = Pick<SinkUse, 'sink' | 'accepts' | 'lanes' | 'catchUp'>;

/** The lanes of a sink, each at the place that `open` finds for it. */
export function lanesOf(
  use: SinkUse,
  open: (name: string, from: SinkUse['from']) => Lane['place'],
): Lane[] {
  const { sink, batch, retry, expireMs } = use;
  return laneUsesOf(use).map(({ reader, ...lane }) => ({
    ...{ ...lane, sink, batch, retry },
    place: open(reader, use.from),
    ...(expireMs === undefined ? {} : { expireMs }),
  }));
}
