import { z } from 'zod';
import type { CloudEvent } from '../event/event.ts';
import { createGlob } from '../event/glob.ts';
import { patterns } from '../kind/select.ts';

/** `where` of a rule: the readings it is about. Everything that is given must match. */
export const where = z
  .strictObject({
    measurement: patterns.optional().describe('Measurements, such as climate.'),
    device: patterns.optional().describe("Devices, such as gh-07 or 'gh-*'."),
    tags: z.record(z.string(), patterns).optional().describe('Tags that a reading must carry.'),
  })
  .describe('Readings the rule is about: names, patterns with * and ?, or lists of them.');
export type Where = z.output<typeof where>;

type Reading = CloudEvent<'reading'>;

/** Whether an event is marked as one of the past that arrives late: not what is the case now. */
export const isHistorical = ({ extensions }: CloudEvent): boolean =>
  extensions?.historical === 'true';

/** Whether a reading is one the rule is about; undefined when all are. */
export function createWhere(
  options: Where | undefined,
): ((reading: Reading) => boolean) | undefined {
  const checks: ((reading: Reading) => boolean)[] = [];
  const { measurement, device, tags } = options ?? {};
  if (measurement !== undefined) {
    const glob = createGlob(measurement);
    checks.push((reading) => glob(reading.data.measurement));
  }
  for (const name in tags) {
    const glob = createGlob(tags[name]!);
    checks.push(({ data }) => Object.hasOwn(data.tags, name) && glob(data.tags[name]!));
  }
  if (device !== undefined) {
    const glob = createGlob(device);
    checks.push((reading) => glob(reading.subject));
  }
  const [first, second] = checks;
  if (first === undefined || second === undefined) return first;
  if (checks.length === 2) return (reading) => first(reading) && second(reading);
  return (reading) => checks.every((check) => check(reading));
}
