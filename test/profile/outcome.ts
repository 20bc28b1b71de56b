import { DecodeError } from '../../src/codec/codec.ts';
import type { IngestMapping } from '../../src/codec/mapping-options.ts';
import { createMapper } from '../../src/flow/mapping.ts';

export const receivedAt = Date.UTC(2026, 10, 20, 12, 30);
export const clock = {
  now: () => receivedAt,
  monotonic: () => 0,
  boot: '',
  quality: () => 'synchronised' as const,
  sleep: async () => {},
};

export interface Sent {
  readonly topic: string;
  readonly payload: Uint8Array;
}

export interface Outcome {
  readonly readings: unknown[];
  readonly errors: string[];
  /** Topics of messages that were not to be recorded. */
  readonly ignored: string[];
}

/** What the mappings make of the messages, as the tests and the manual write it. */
export function outcomeOf(mappings: readonly IngestMapping[], messages: readonly Sent[]): Outcome {
  const routeOf = createMapper(mappings, { source: '/s', clock, onRefusedTime: () => {} });
  const outcome: Outcome = { readings: [], errors: [], ignored: [] };
  for (const { topic, payload } of messages) {
    // An empty message clears a retained one; ingest records none.
    if (payload.byteLength === 0) outcome.ignored.push(topic);
    else addOutcome(outcome, routeOf(topic), { topic, payload });
  }
  return outcome;
}

function addOutcome(
  outcome: Outcome,
  route: ReturnType<ReturnType<typeof createMapper>>,
  { topic, payload }: Sent,
): void {
  try {
    const readings = route?.read({ topic, payload, receivedAt });
    const { drafts = [], problem, passed = 'unmatched' } = readings ?? {};
    for (const { subject, time, data } of drafts) {
      const { measurement, tags, fields } = data;
      outcome.readings.push({
        device: subject,
        measurement,
        ...(time === receivedAt ? {} : { time: new Date(time).toISOString() }),
        ...(Object.keys(tags).length === 0 ? {} : { tags }),
        fields,
      });
    }
    if (problem !== undefined) outcome.errors.push(problem);
    if (passed === 'ignored') outcome.ignored.push(topic);
    if (route === undefined) outcome.errors.push('No mapping matches.');
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    outcome.errors.push(error.message);
  }
}
