import { z } from 'zod';
import { duration } from '../kind/kind.ts';
import { severity, summary } from './alert.ts';
import { where } from './where.ts';

const bound = z.number().optional();

/** Options of a `threshold` rule. */
export const thresholdOptions = z
  .strictObject({
    field: z.string().min(1).describe('The field whose number is watched.'),
    above: bound.describe('Fires when the value is greater. A value equal to it does not fire.'),
    below: bound.describe('Fires when the value is less. With above: when it is outside the two.'),
    clearBelow: bound.describe('Resolves when the value is less. Default: at above, or less.'),
    clearAbove: bound.describe('Resolves when the value is greater. Default: at below, or more.'),
    for: duration
      .prefault('0s')
      .describe('How long the condition must hold, at every reading. The last reading stands.'),
    historical: z
      .boolean()
      .prefault(false)
      .describe(
        'Also judges readings that are marked historical: of the past, and delivered late.',
      ),
    severity,
    where: where.optional(),
    summary: summary('{device} {value} {threshold} {field} {measurement} {rule}'),
  })
  .superRefine((options, context) => {
    const { above, below, clearAbove, clearBelow } = options;
    const refuse = (path: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [path], message });
    if (above === undefined && below === undefined) {
      refuse('above', 'give above, below, or both: without a bound the rule can never fire');
    }
    if (above !== undefined && below !== undefined && below >= above) {
      refuse(
        'below',
        `below (${below}) must be less than above (${above}): every value would fire`,
      );
    }
    if (clearBelow !== undefined) {
      if (above === undefined)
        refuse('clearBelow', 'clearBelow belongs to above, which is missing');
      else if (clearBelow > above) {
        refuse(
          'clearBelow',
          `clearBelow (${clearBelow}) must not be greater than above (${above})`,
        );
      }
    }
    if (clearAbove !== undefined) {
      if (below === undefined)
        refuse('clearAbove', 'clearAbove belongs to below, which is missing');
      else if (clearAbove < below) {
        refuse('clearAbove', `clearAbove (${clearAbove}) must not be less than below (${below})`);
      }
    }
    const inside = (clearBelow ?? above ?? Infinity) - (clearAbove ?? below ?? -Infinity);
    if (inside <= 0 && !(below !== undefined && above !== undefined && below >= above)) {
      refuse(
        'clearBelow',
        'no value lies between clearAbove and clearBelow: it would never resolve',
      );
    }
  });
export type ThresholdOptions = z.output<typeof thresholdOptions>;
