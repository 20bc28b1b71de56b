import type { AlertState, CloudEvent } from '../event/event.ts';
import { parseTemplate } from '../event/template.ts';
import { textOfValue } from './alert.ts';
import type { Series } from './series.ts';
import type { ThresholdOptions } from './threshold-options.ts';

const noTags: Readonly<Record<string, string>> = Object.freeze({});
const ownNames = ['device', 'value', 'threshold', 'field', 'measurement', 'rule'];

/** How the verdicts of a threshold are put into words, and which tags that takes. */
export function createThresholdSummary(options: ThresholdOptions, rule: string) {
  const { field, above } = options;
  const template = options.summary === undefined ? undefined : parseTemplate(options.summary);
  const tagNames = (template?.names ?? []).filter((name) => !ownNames.includes(name));

  const plain = (series: Series, state: AlertState, value: number | bigint): string => {
    const what = `${field} of ${series.device}`;
    if (state === 'resolved') return `${what} is back at ${textOfValue(value)}`;
    const side = series.bound === above ? 'above' : 'below';
    return `${what} is ${textOfValue(value)}, ${side} ${series.bound}`;
  };
  return {
    summaryOf(series: Series, state: AlertState, value: number | bigint): string {
      if (template === undefined) return plain(series, state, value);
      const known: Record<string, string> = {
        ...series.tags,
        device: series.device,
        value: textOfValue(value),
        threshold: `${series.bound}`,
        field,
        measurement: series.measurement,
        rule,
      };
      return template.fill((name) => (Object.hasOwn(known, name) ? known[name] : undefined));
    },
    tagsOf({ data: { tags } }: CloudEvent<'reading'>): Readonly<Record<string, string>> {
      if (tagNames.length === 0) return noTags;
      const wanted = tagNames.filter((name) => Object.hasOwn(tags, name));
      return Object.fromEntries(wanted.map((name) => [name, tags[name]!]));
    },
  };
}
