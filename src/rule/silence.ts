import { z } from 'zod';
import type { AlertState, CloudEvent } from '../event/event.ts';
import { parseTemplate } from '../event/template.ts';
import { duration } from '../kind/kind.ts';
import { incidentOf, severity, summary } from './alert.ts';
import { createDevices, type Device } from './devices.ts';
import { noVerdicts, type Rule, type RuleKind, type Verdict } from './rule.ts';
import { createWhere, isHistorical, where } from './where.ts';

const silenceOptions = z.strictObject({
  after: duration
    .refine((ms) => ms > 0, 'must be longer than nothing')
    .describe('How long a device that was heard before may say nothing.'),
  severity,
  where: where.optional(),
  summary: summary('{device} {after} {rule}'),
});

/**
 * Fires when a device of which there was a reading has given none for `after`; its next reading
 * resolves it. That it is offline is no sign of life. What counts is the time for which the gateway was listening, so a night without
 * power silences nobody. A device is known from its first reading on, as long as it is among the
 * 100,000 that were heard last; one that is forgotten while it is silent is resolved.
 */
export const silence = {
  options: silenceOptions,
  create: (options, { name }) => createSilence(options, name),
} as const satisfies RuleKind<typeof silenceOptions>;

function createSilence(options: z.output<typeof silenceOptions>, name: string): Rule {
  const { after: afterMs, severity } = options;
  const isWanted = createWhere(options.where);
  const devices = createDevices(afterMs);
  const summaryOf = createSummary(options, name);

  const verdictOf = (device: Device, state: AlertState, cause: CloudEvent): Verdict => ({
    device: device.name,
    state,
    incident: device.incident!,
    severity,
    since: device.since,
    summary: summaryOf(device.name, state),
    cause,
  });
  const hear = (reading: CloudEvent<'reading'>, elapsedMs: number): Verdict | undefined => {
    if ((isWanted !== undefined && !isWanted(reading)) || saysGone(reading)) return undefined;
    const { subject, time } = reading;
    const known = devices.find(subject);
    if (known?.incident === undefined) {
      const forgotten = devices.hear(known, subject, time, elapsedMs);
      if (forgotten === undefined) return undefined;
      const summary = `${forgotten.name} is no longer watched: there are too many devices`;
      return { ...verdictOf(forgotten, 'resolved', reading), summary };
    }
    const verdict = verdictOf(known, 'resolved', reading);
    devices.hear(known, subject, time, elapsedMs);
    return verdict;
  };
  const fireDue = (cause: CloudEvent, elapsedMs: number): Verdict[] =>
    devices.takeSilent(elapsedMs).map((device) => {
      device.incident = incidentOf(name, device.name, '', cause.id);
      return verdictOf(device, 'firing', cause);
    });
  return {
    name,
    step(event, elapsedMs) {
      // First, so that a reading is never answered by saying that its device is silent.
      const resolved = event.type === 'reading' ? hear(event, elapsedMs) : undefined;
      // What is late was sent now, so its device is there; it is no time to say anything else by.
      if (isHistorical(event)) return resolved === undefined ? noVerdicts : [resolved];
      if (devices.someAreSilent(elapsedMs)) {
        const fired = fireDue(event, elapsedMs);
        return resolved === undefined ? fired : [resolved, ...fired];
      }
      return resolved === undefined ? noVerdicts : [resolved];
    },
    snapshot: devices.snapshot,
    restore: devices.restore,
  };
}

/** That a device is offline, others say of it: a broker its last will, a bridge what it no longer hears. */
function saysGone({ data: { measurement, fields } }: CloudEvent<'reading'>): boolean {
  return fields.online === false && (measurement === 'presence' || measurement === 'status');
}

function createSummary(options: z.output<typeof silenceOptions>, rule: string) {
  const template = options.summary === undefined ? undefined : parseTemplate(options.summary);
  const after = textOfDuration(options.after);
  return (device: string, state: AlertState): string => {
    if (template === undefined) {
      return state === 'firing' ? `nothing from ${device} for ${after}` : `${device} is back`;
    }
    const known = new Map([
      ['device', device],
      ['after', after],
      ['threshold', after],
      ['rule', rule],
    ]);
    return template.fill((name) => known.get(name));
  };
}

/** `90s`, `5m`, `1h`: the largest unit in which it is a whole number. */
function textOfDuration(ms: number): string {
  const units = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1_000],
  ] as const;
  const unit = units.find(([, size]) => ms % size === 0);
  return unit === undefined ? `${ms}ms` : `${ms / unit[1]}${unit[0]}`;
}
