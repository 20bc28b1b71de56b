/**
 * Events as lines for InfluxDB 1, 2 and 3:
 *
 *   <measurement>,<tag>=<text>,… <field>=<value>,… <nanoseconds>
 *   climate,device=gh-07,site=north temperature=31.2,humidity=40 1795183740123000042
 *
 * What a device sends can never end a line, nor begin a tag, a field or a comment:
 * - in names and tags `,` `=` and space are escaped; what no version can escape is replaced by a
 *   sign that stands for it: controls by their pictures (␊ for a newline, ␀ for NUL), a backslash
 *   that would escape its successor by ＼, a leading # of a measurement by ＃;
 * - tags without a text are left out; `time`, `_field` and `_measurement`, which InfluxDB keeps for
 *   itself, and names that a tag has already, get a `_` behind them;
 * - texts are quoted, with `"` and `\` escaped; they may hold newlines.
 *
 * Numbers are floats, a `bigint` is an integer of 64 bits. A number that is not finite is left out.
 * An alert is a point of `alert` with the tags device, rule and severity; what it was about is the
 * float `value`, or the text `value_text` where it is not a number.
 */
import type { CloudEvent, EventData, Value } from '../event/event.ts';
import { numberText } from '../event/number-text.ts';
import { createPrefixes, type Prefix } from './line-prefix.ts';
import { escaped, freeName, quotedText } from './line-text.ts';
import { millisecondsOf, nanosecondsOf, timeMaxMs, timeMinMs } from './line-time.ts';

/** One event as a line, or why there can be none. */
export type Line =
  | { readonly line: string; readonly problem?: undefined }
  | { readonly line?: undefined; readonly problem: string };

/** Never throws. The same event always gives the same line. */
export type LineEncoder = (event: CloudEvent) => Line;

export interface LineOptions {
  /** The tag that holds the device. */
  readonly deviceTag: string;
  /** Tags of every point. What a device sends does not replace them. */
  readonly tags: Readonly<Record<string, string>>;
  /** The measurement of alerts. */
  readonly alertMeasurement: string;
  /** `ns` tells apart what happened to one device in one millisecond, as `nanosecondsOf` says. */
  readonly precision: 'ms' | 'ns';
}

type Fields = EventData['reading']['fields'];

const namesMax = 4_096;
const nameLengthMax = 64;

/** Remembers what it has escaped: the names of at most 4,096 fields, and see `createPrefixes`. */
export function createLineEncoder(options: LineOptions): LineEncoder {
  const prefixOf = createPrefixes(options.deviceTag, options.tags);
  const stamp = options.precision === 'ns' ? nanosecondsOf : millisecondsOf;
  const ownTags = new Set([options.deviceTag, ...Object.keys(options.tags)]);
  // Names that are what they are in every line, with their `=`.
  const plainNames = new Map<string, string>();

  const fieldName = (key: string, fields: Fields, prefix: Prefix): string => {
    const wanted = key === '' ? 'unnamed' : key;
    const name = freeName(
      wanted,
      (other) => prefix.hasTag(other) || (other !== key && Object.hasOwn(fields, other)),
    );
    const text = `${escaped(name)}=`;
    // A name that ends in _ may be that of a tag whose own name was taken.
    const plain = text === `${key}=` && !ownTags.has(key) && !key.endsWith('_');
    if (plain && key.length <= nameLengthMax) {
      if (plainNames.size >= namesMax) plainNames.clear();
      plainNames.set(key, text);
    }
    return text;
  };

  return (event) => {
    if (!(event.time >= timeMinMs && event.time <= timeMaxMs)) return outsideTime;
    if (event.type === 'alert') {
      const { device, measurement, tags, fields } = pointOfAlert(event, options);
      const text = prefixOf(device, measurement, tags).text;
      return { line: `${text} ${fields} ${stamp(event)}` };
    }
    if (event.type !== 'reading')
      return { problem: `InfluxDB takes no event of type ${event.type}.` };
    const { measurement, tags, fields } = event.data;
    const prefix = prefixOf(event.subject, measurement, tags);
    let text = prefix.text;
    let separator = ' ';
    for (const key in fields) {
      const value = fields[key]!;
      if (typeof value === 'number' && !Number.isFinite(value)) continue;
      if (typeof value === 'bigint' && BigInt.asIntN(64, value) !== value) {
        return { problem: `The field ${key} is ${value}, which does not fit in 64 bits.` };
      }
      const plain = plainNames.get(key);
      text += separator;
      text += plain !== undefined && !(key in tags) ? plain : fieldName(key, fields, prefix);
      text += valueText(value);
      separator = ',';
    }
    if (separator === ' ') return { problem: withoutFields(fields) };
    return { line: `${text} ${stamp(event)}` };
  };
}

function valueText(value: Value): string {
  if (typeof value === 'string') return quotedText(value);
  if (typeof value === 'number') return numberText(value);
  return typeof value === 'bigint' ? `${value}i` : `${value}`;
}

function pointOfAlert(event: CloudEvent<'alert'>, options: LineOptions) {
  const { rule, severity, state, incident, value, threshold, summary } = event.data;
  let fields = `state=${quotedText(state)},incident=${quotedText(incident)}`;
  fields += `,summary=${quotedText(summary)}`;
  // One field has one type for all rules, or InfluxDB refuses the alerts of the later rule.
  const number = typeof value === 'bigint' ? Number(value) : value;
  if (typeof number === 'number') {
    if (Number.isFinite(number)) fields += `,value=${number}`;
  } else if (number !== undefined) fields += `,value_text=${quotedText(String(number))}`;
  if (threshold !== undefined && Number.isFinite(threshold)) fields += `,threshold=${threshold}`;
  const measurement = options.alertMeasurement;
  return { device: event.subject, measurement, tags: { rule, severity }, fields };
}

const outsideTime: Line = {
  problem: 'The time is outside of what InfluxDB can hold, the years 1677 to 2262.',
};

function withoutFields(fields: Fields): string {
  const names = Object.keys(fields);
  return names.length === 0
    ? 'There are no fields, and InfluxDB takes no point without.'
    : `No field has a finite number (${names.slice(0, 5).join(', ')}), and InfluxDB takes no others.`;
}
