import { z } from 'zod';

/** The types of event by their short names: what `eventTypes` of `event/event.ts` lists, but for the internal ones. */
export const selectableTypes = [
  'reading',
  'alert',
  'command',
  'undecodable',
  'rejected',
  'gap',
  'clock',
  'heartbeat',
] as const;

/** A name, a pattern with `*` and `?`, or a list of them. */
export const patterns = z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]);

const severityNames = ['info', 'warning', 'error', 'critical'];
const typeNames = selectableTypes.flatMap((type) => [type, `io.tidegate.${type}.v1`]);

/** Patterns of which each could match one of the names: a misspelt name would select nothing. */
function patternsOf(names: readonly string[], listed: string) {
  return patterns.superRefine((value, context) => {
    for (const pattern of typeof value === 'string' ? [value] : value) {
      if (pattern.includes('*') || pattern.includes('?') || names.includes(pattern)) continue;
      context.addIssue({ code: 'custom', message: `${pattern} is none of ${listed}` });
    }
  });
}

/**
 * `select` of a sink: every criterion that is given must hold, so an event that lacks what one asks
 * about is not selected. The output is what `createFilter` of `event/filter.ts` takes.
 */
export const selectSchema = z.strictObject({
  type: patternsOf(typeNames, selectableTypes.join(', '))
    .optional()
    .describe('Types of event, such as reading or alert. Default: what the sink is made for.'),
  device: patterns.optional().describe('Devices, such as gh-07 or gh-*.'),
  measurement: patterns.optional().describe('Measurements; selects readings only.'),
  severity: patternsOf(severityNames, severityNames.join(', '))
    .optional()
    .describe('Severities, such as [error, critical]; selects alerts only.'),
});
export type SelectOptions = z.output<typeof selectSchema>;
