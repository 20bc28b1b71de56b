/** How single fields of a mapping are read: a path alone, or a path with what becomes of its value. */
import { z } from 'zod';
import { codecChoice } from './index.ts';

/** As the name of a field: leaves under their own names. */
export const leaves = '*';

export const fieldTypes = ['auto', 'number', 'integer', 'boolean', 'text'] as const;

/** Texts, and what they stand for; null is no value. */
export const valueTable = z.record(
  z.string().max(256),
  z.union([z.string(), z.number(), z.boolean(), z.null()]),
);
export type ValueTable = z.output<typeof valueTable>;

export const fieldOptions = z.strictObject({
  path: z.string().min(1).describe('Where it stands in the payload, or {capture}.'),
  scale: z.number().optional().describe('What a number is multiplied by, …'),
  add: z.number().optional().describe('… and what is added then.'),
  decimals: z.int().min(0).max(15).optional().describe('Decimals that a number is rounded to.'),
  type: z
    .enum(fieldTypes)
    .optional()
    .describe(
      'What it must be; a text that says a number or true is taken for it. auto: only that.',
    ),
  values: valueTable.optional().describe('What its texts and numbers stand for; null: no value.'),
  unit: z.string().optional().describe('Its unit, kept as a text named with _unit behind.'),
  codec: codecChoice
    .optional()
    .describe('Reads a text within the payload, such as JSON in a string.'),
});
export type FieldOptions = z.output<typeof fieldOptions>;

export const fieldChoice = z.union([z.string(), fieldOptions]);
export type FieldChoice = z.output<typeof fieldChoice>;

/** The capture that stands instead of a path: `{line}`; undefined for a path. */
export function topicPartOf(text: string): string | undefined {
  return /^\{([^{}]+)\}$/.exec(text)?.[1];
}
