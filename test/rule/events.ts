import type { CloudEvent, Value } from '../../src/event/event.ts';
import type { Rule, RuleState, Verdict } from '../../src/rule/rule.ts';

let count = 0;

/** A reading with an id that no other has. */
export function reading(
  device: string,
  fields: Readonly<Record<string, Value>>,
  more: {
    measurement?: string;
    tags?: Record<string, string>;
    time?: number;
    id?: string;
    historical?: boolean;
  } = {},
): CloudEvent<'reading'> {
  const { measurement = 'climate', tags = {}, time = 0, id = `e${++count}` } = more;
  return {
    type: 'reading',
    id,
    source: '/gateways/gw/broker',
    subject: device,
    time,
    recordedTime: time,
    ...(more.historical === true && { extensions: { historical: 'true' } }),
    data: { measurement, tags, fields },
  };
}

export function heartbeat(id = `e${++count}`): CloudEvent<'heartbeat'> {
  return {
    type: 'heartbeat',
    id,
    source: '/gateways/gw',
    subject: 'gw',
    time: 0,
    recordedTime: 0,
    data: { lag: {} },
  };
}

/** An event and the log's time at which it stands. */
export type Step = readonly [event: CloudEvent, elapsedMs: number];

export function run(rule: Rule, steps: readonly Step[]): Verdict[] {
  return steps.flatMap(([event, elapsedMs]) => [...rule.step(event, elapsedMs)]);
}

/** What a rule says that is taken down and put up again after every `restartAfter` steps, as JSON. */
export function runWithRestarts(
  create: () => Rule,
  steps: readonly Step[],
  restartAfter: readonly number[],
): Verdict[] {
  let rule = create();
  return steps.flatMap(([event, elapsedMs], index) => {
    if (restartAfter.includes(index)) {
      const saved = JSON.parse(JSON.stringify(rule.snapshot())) as RuleState;
      rule = create();
      rule.restore(saved);
    }
    return [...rule.step(event, elapsedMs)];
  });
}

/** `firing gh-07`, in order. */
export function said(verdicts: readonly Verdict[]): string[] {
  return verdicts.map(({ state, device }) => `${state} ${device}`);
}
