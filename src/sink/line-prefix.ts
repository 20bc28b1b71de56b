/** The beginnings of lines, `<measurement>,<tag>=<text>,…`, and a memory of them. */
import { escaped, escapedMeasurement, freeName } from './line-text.ts';

export type Tags = Readonly<Record<string, string>>;

export interface Prefix {
  readonly text: string;
  /** Whether a tag of this line has that name, not yet escaped. */
  hasTag(name: string): boolean;
}

interface Remembered extends Prefix {
  readonly measurement: string;
  readonly keys: readonly string[];
  readonly texts: readonly string[];
}

const devicesMax = 5_000;
const perDeviceMax = 8;
const lengthMax = 512;

/**
 * The beginning of a device's lines. Remembers 8 for each of 5,000 devices, none of them above 512
 * characters. `own` are the tags of every line; a tag of the event that has the name of one of
 * them gets a `_`.
 */
export function createPrefixes(deviceTag: string, own: Tags) {
  const devices = new Map<string, Remembered[]>();
  return (device: string, measurement: string, tags: Tags): Prefix => {
    let known = devices.get(device);
    if (known !== undefined) {
      for (const prefix of known) {
        if (prefix.measurement === measurement && isSame(prefix, tags)) return prefix;
      }
    }
    const prefix = prefixOf(measurement, { ...own, [deviceTag]: device }, tags);
    if (prefix.text.length > lengthMax || device.length > lengthMax) return prefix;
    if (known === undefined) {
      if (devices.size >= devicesMax) devices.clear();
      known = [];
      devices.set(device, known);
    }
    if (known.length >= perDeviceMax) known.shift();
    known.push(prefix);
    return prefix;
  };
}

function isSame({ keys, texts }: Remembered, tags: Tags): boolean {
  for (let at = 0; at < keys.length; at++) if (tags[keys[at]!] !== texts[at]) return false;
  let count = 0;
  for (const _ in tags) count++;
  return count === keys.length;
}

function prefixOf(measurement: string, own: Tags, tags: Tags): Remembered {
  const taken = new Map<string, string>();
  const add = (key: string, text: string): void => {
    if (key === '' || text === '') return;
    const name = escaped(freeName(key, (other) => taken.has(escaped(other))));
    taken.set(name, escaped(text));
  };
  for (const [key, text] of Object.entries(own)) add(key, text);
  for (const [key, text] of Object.entries(tags)) add(key, text);
  // Sorted, as InfluxDB stores them: it would have to do it otherwise.
  const written = [...taken].sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, v]) => `,${k}=${v}`);
  return {
    text: escapedMeasurement(measurement === '' ? 'reading' : measurement) + written.join(''),
    hasTag: (name) => taken.has(escaped(name)),
    measurement,
    keys: Object.keys(tags),
    texts: Object.values(tags),
  };
}
