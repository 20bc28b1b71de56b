import { z } from 'zod';
import type { Value } from '../event/event.ts';
import { hashIdOf } from '../event/hash-id.ts';

/** `severity` of a rule. */
export const severity = z
  .enum(['info', 'warning', 'error', 'critical'])
  .default('warning')
  .describe('How bad it is when the rule fires.');

/** `summary` of a rule, with the names it may use. */
export const summary = (names: string) =>
  z
    .string()
    .min(1)
    .optional()
    .describe(`What to tell people; ${names} and the names of tags are filled in.`);

/** The name of what goes on from a firing to its resolve. Safe in a URL path. */
export function incidentOf(rule: string, device: string, what: string, causeId: string): string {
  return hashIdOf([rule, device, what, causeId]);
}

/** For people: what binary fractions add at the end is left out. */
export function textOfValue(value: Value): string {
  if (typeof value !== 'number' || Number.isInteger(value)) return `${value}`;
  return `${Number(value.toPrecision(7))}`;
}
