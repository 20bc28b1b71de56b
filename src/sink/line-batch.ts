import type { CloudEvent } from '../event/event.ts';
import type { Turns } from '../platform/turns.ts';
import type { Point } from './influxdb-answer.ts';
import type { LineEncoder } from './line-protocol.ts';
import type { Rejection } from './sink.ts';

/** An event and where its line lies in the bytes of its batch. */
export interface EventPoint extends Point {
  readonly event: CloudEvent;
}

/** So many are encoded before it is looked whether the turn is over. */
const eventsAtATime = 64;
const bytesFirst = 65_536;
/** Room that is not needed again for an ordinary batch is given back. */
const bytesKeptMax = 4 * 2 ** 20;
/** UTF-8 takes at most three bytes for each UTF-16 unit. */
const bytesPerUnitMax = 3;

/**
 * Encodes batches into bytes that are used again for the next: the lines of a batch of thousands
 * would else live as texts for as long as it takes to send them.
 */
export function createLineBatch(encode: LineEncoder) {
  let bytes = Buffer.allocUnsafe(bytesFirst);
  let used = 0;

  class LinePoint implements EventPoint {
    readonly event: CloudEvent;
    readonly from: number;
    readonly to: number;
    constructor(event: CloudEvent, from: number, to: number) {
      this.event = event;
      this.from = from;
      this.to = to;
    }
    get time(): number {
      return this.event.time;
    }
    get line(): string {
      return bytes.toString('utf8', this.from, this.to - 1);
    }
  }

  const add = (line: string): number => {
    const needed = used + line.length * bytesPerUnitMax + 1;
    if (needed > bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, bytes.length * 2));
      bytes.copy(grown, 0, 0, used);
      bytes = grown;
    }
    used += bytes.write(line, used);
    bytes[used++] = 0x0a;
    return used;
  };

  return {
    /**
     * Takes the place of the batch before. Events that can be no line are rejected. Lets others
     * have the processor between `turns`: nothing else may be asked of it until it resolves.
     */
    async encode(
      events: readonly CloudEvent[],
      turns: Turns,
    ): Promise<{ points: EventPoint[]; rejections: Rejection[] }> {
      if (bytes.length > bytesKeptMax) bytes = Buffer.allocUnsafe(bytesFirst);
      used = 0;
      const points: EventPoint[] = [];
      const rejections: Rejection[] = [];
      for (let at = 0; at < events.length; at++) {
        if (at % eventsAtATime === 0 && at > 0) await turns.rest;
        const event = events[at]!;
        const { line, problem } = encode(event);
        if (line === undefined) rejections.push({ event, reason: problem });
        else points.push(new LinePoint(event, used, add(line)));
      }
      return { points, rejections };
    },
    /** The lines of some points of the batch, each with its newline; valid until the next batch. */
    bytesOf(points: readonly EventPoint[]): Buffer {
      if (points.length === 0) return bytes.subarray(0, 0);
      const [first, last] = [points[0] as LinePoint, points.at(-1) as LinePoint];
      let length = 0;
      for (const point of points as readonly LinePoint[]) length += point.to - point.from;
      const whole = bytes.subarray(first.from, last.to);
      if (length === whole.length) return whole;
      return Buffer.concat(
        (points as readonly LinePoint[]).map(({ from, to }) => bytes.subarray(from, to)),
      );
    },
  };
}
