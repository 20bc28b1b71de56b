/**
 * One line per event on standard output. The smallest sink there is, and the example for others.
 *
 *   2026-11-20T14:09:00.123Z reading gh-07 climate temperature=31.2 humidity=40
 *   2026-11-20T14:09:00.123Z alert gh-07 overheat firing: gh-07 is at 31.2 °C
 */
import { z } from 'zod';
import { timeTextOf, toCloudEventsText } from '../event/cloudevents-json.ts';
import type { CloudEvent } from '../event/event.ts';
import { toLosslessJson } from '../event/lossless-json.ts';
import { type WriteText, writeStandardOutput } from '../platform/standard-output.ts';
import { factTypes, type Sink } from './sink.ts';
import type { SinkKind, SinkParts } from './sink-kind.ts';

const options = z.strictObject({
  format: z
    .enum(['text', 'json'])
    .default('text')
    .describe('text: a short line for people. json: the whole CloudEvent in a line.'),
});

/** Events on standard output. */
export const consoleKind: SinkKind<typeof options> = {
  options,
  batch: { events: 100, bytes: 262_144, delayMs: 0 },
  create: (given, parts) => createConsoleSink(given, parts),
};

/** As `consoleKind.create`, with somewhere else to write to. */
export function createConsoleSink(
  { format }: z.output<typeof options>,
  { name }: SinkParts,
  write: WriteText = writeStandardOutput,
): Sink {
  const lineOf = format === 'json' ? toCloudEventsText : consoleLineOf;
  return {
    name,
    types: factTypes,
    async connect(signal) {
      signal.throwIfAborted();
      return {
        async deliver(events, signal) {
          signal.throwIfAborted();
          await write(events.map((event) => `${lineOf(event)}\n`).join(''), signal);
          return [];
        },
        async close() {},
      };
    },
  };
}

/** One event as one line for people, without its end. What devices say cannot steer the terminal. */
export function consoleLineOf(event: CloudEvent): string {
  const line = `${timeTextOf(event.time) || '-'} ${event.type} ${event.subject} ${wordsOf(event)}`;
  return line.replace(/\p{Cc}/gu, '�');
}

function wordsOf(event: CloudEvent): string {
  switch (event.type) {
    case 'reading': {
      let words = event.data.measurement;
      for (const [name, value] of Object.entries(event.data.fields)) words += ` ${name}=${value}`;
      return words;
    }
    case 'alert':
      return `${event.data.rule} ${event.data.state}: ${event.data.summary}`;
    default:
      return toLosslessJson(event.data).slice(0, 200);
  }
}
