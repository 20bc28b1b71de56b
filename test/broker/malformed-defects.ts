import {
  packet as build,
  bytesOf,
  connectBytes,
  overlong,
  properties,
  surrogate,
} from './packet-bytes.ts';

type Level = 3 | 4 | 5;

/** Chance, as `Malice` has it. */
export interface Chance {
  below(limit: number): number;
}

/** A packet that is right but for one thing, for which the broker must refuse it. */
export interface Defect {
  readonly name: string;
  readonly levels: readonly Level[];
  /** It is the first packet of its connection. */
  readonly isFirst?: true;
  make(level: Level, chance: Chance): Buffer;
}

const all = [3, 4, 5] as const;
const five = [5] as const;
const older = [3, 4] as const;
const first = { isFirst: true } as const;

const topicOf = (chance: Chance): string => `load/${chance.below(1000)}`;
const idOf = (chance: Chance): number[] => [chance.below(255), 1 + chance.below(255)];
const noise = (chance: Chance): Buffer =>
  Buffer.from(Array.from({ length: chance.below(24) }, () => chance.below(256)));
/** No properties; nothing before MQTT 5. */
const none = (level: Level): Buffer => (level === 5 ? properties() : Buffer.alloc(0));
/** Text fields that are not UTF-8, or hold what a text must not. */
const badTexts = [surrogate, overlong, [0xff], [0xc3], [0x61, 0x00, 0x62]] as const;
const badField = (chance: Chance): Buffer => {
  const text = badTexts[chance.below(badTexts.length)]!;
  return bytesOf(0, text.length, text);
};
const reserved = [0x00, 0x04, 0x06, 0x07, 0x0a, 0x0c, 0x0e, 0x0f, 0x10, 0x2d, 0x7f, 0xff] as const;

/** A PUBLISH at QoS 0 with these properties. */
const withProperties =
  (...pieces: Parameters<typeof bytesOf>) =>
  (_level: Level, chance: Chance): Buffer =>
    build(0x30, topicOf(chance), properties(...pieces), noise(chance));

const subscribe =
  (filter: string | readonly number[], options = 0) =>
  (level: Level, chance: Chance): Buffer =>
    build(0x82, idOf(chance), none(level), filter, options);

const unsubscribe =
  (filter: string | readonly number[]) =>
  (level: Level, chance: Chance): Buffer =>
    build(0xa2, idOf(chance), none(level), filter);

const connectWith =
  (given: Parameters<typeof connectBytes>[0]) =>
  (level: Level, chance: Chance): Buffer =>
    connectBytes({ level, id: `evil-${chance.below(500)}`, ...given });

export const defects: readonly Defect[] = [
  // CONNECT.
  { name: 'protocol name', levels: all, ...first, make: connectWith({ name: 'MQTX' }) },
  { name: 'reserved flag', levels: [4, 5], ...first, make: connectWith({ flags: 3 }) },
  { name: 'will QoS without a will', levels: all, ...first, make: connectWith({ flags: 0x0a }) },
  { name: 'will QoS 3', levels: all, ...first, make: connectWith({ flags: 0x1e }) },
  { name: 'will retain without a will', levels: all, ...first, make: connectWith({ flags: 0x22 }) },
  { name: 'password alone', levels: older, ...first, make: connectWith({ flags: 0x42 }) },
  { name: 'user name missing', levels: all, ...first, make: connectWith({ flags: 0x82 }) },
  { name: 'bytes behind', levels: all, ...first, make: connectWith({ rest: [1, 2, 3] }) },
  {
    ...{ name: 'client identifier', levels: all, ...first },
    make: (level, chance) => {
      const text = badTexts[chance.below(badTexts.length)]!;
      return connectBytes({ level, id: bytesOf(0, text.length, text) });
    },
  },
  {
    ...{ name: 'another packet first', levels: all, ...first },
    make: (level, chance) => build(0x30, topicOf(chance), none(level), noise(chance)),
  },
  {
    ...{ name: 'CONNECT property', levels: five, ...first },
    make: connectWith({ properties: properties(0x02, 0, 0, 0, 1, 0x02, 0, 0, 0, 1) }),
  },
  {
    ...{ name: 'Receive Maximum 0', levels: five, ...first },
    make: connectWith({ properties: properties(0x21, 0, 0) }),
  },
  // Every packet.
  { name: 'second CONNECT', levels: all, make: (level) => connectBytes({ level, id: 'again' }) },
  { name: 'packet type 0', levels: all, make: (_, chance) => build(0, noise(chance)) },
  { name: 'packet type 15', levels: older, make: (_, chance) => build(0xf0, noise(chance)) },
  {
    ...{ name: 'packet of a server', levels: all },
    make: (_, chance) => build([0x20, 0x90, 0xb0, 0xd0][chance.below(4)]!, idOf(chance)),
  },
  {
    ...{ name: 'flags', levels: all },
    make: (level, chance) => {
      const right = [0x40, 0x50, 0x62, 0x70, 0x82, 0xa2, 0xc0, 0xe0][chance.below(8)]!;
      const wrong = (right & 0xf0) | ((right + 1 + chance.below(15)) & 0x0f);
      return build(wrong, idOf(chance), none(level), topicOf(chance), 0);
    },
  },
  {
    ...{ name: 'remaining length of five bytes', levels: all },
    make: () => Buffer.of(0x30, 0xff, 0xff, 0xff, 0xff, 0x01),
  },
  { name: 'too large', levels: all, make: () => Buffer.of(0x30, 0xff, 0xff, 0xff, 0x7f) },
  // PUBLISH.
  {
    ...{ name: 'QoS 3', levels: all },
    make: (level, chance) => build(0x36, topicOf(chance), idOf(chance), none(level), noise(chance)),
  },
  {
    ...{ name: 'DUP at QoS 0', levels: all },
    make: (level, chance) => build(0x38, topicOf(chance), none(level), noise(chance)),
  },
  {
    ...{ name: 'packet identifier 0', levels: all },
    make: (level, chance) => build(0x32 + 2 * chance.below(2), topicOf(chance), 0, 0, none(level)),
  },
  {
    ...{ name: 'wildcard in a topic', levels: all },
    make: (level, chance) =>
      build(0x30, ['a/+', '#', 'a/#', '+/b', 'a+b'][chance.below(5)]!, none(level), noise(chance)),
  },
  {
    ...{ name: 'text of a topic', levels: all },
    make: (level, chance) => build(0x30, badField(chance), none(level), noise(chance)),
  },
  {
    ...{ name: 'topic longer than its packet', levels: all },
    make: (_, chance) => build(0x30, 0xff, 0xff, noise(chance)),
  },
  {
    ...{ name: 'levels of a topic', levels: all },
    make: (level, chance) => build(0x30, '/'.repeat(128 + chance.below(900)), none(level)),
  },
  { name: 'no topic', levels: all, make: (level) => build(0x30, '', none(level), 1) },
  { name: 'topic alias 0', levels: five, make: withProperties(0x23, 0, 0) },
  { name: 'topic alias too large', levels: five, make: withProperties(0x23, 0xff, 0) },
  {
    ...{ name: 'topic alias unknown', levels: five },
    make: () => build(0x30, '', properties(0x23, 0, 1)),
  },
  { name: 'subscription identifier', levels: five, make: withProperties(0x0b, 1) },
  { name: 'payload format 2', levels: five, make: withProperties(0x01, 2) },
  { name: 'property twice', levels: five, make: withProperties(0x01, 1, 0x01, 1) },
  {
    ...{ name: 'property unknown', levels: five },
    make: (_, chance) =>
      build(0x30, topicOf(chance), properties(reserved[chance.below(reserved.length)]!, 0, 0)),
  },
  {
    ...{ name: 'properties longer than their packet', levels: five },
    make: (_, chance) => build(0x30, topicOf(chance), 0x7f, noise(chance)),
  },
  { name: 'response topic', levels: five, make: withProperties(0x08, 'a/#') },
  { name: 'property cut off', levels: five, make: withProperties(0x02, 0, 0) },
  {
    ...{ name: 'user property', levels: five },
    make: (_, chance) =>
      build(0x30, topicOf(chance), properties(0x26, 'name', badField(chance)), noise(chance)),
  },
  // SUBSCRIBE and UNSUBSCRIBE.
  { name: 'no filter', levels: all, make: (l, chance) => build(0x82, idOf(chance), none(l)) },
  { name: 'no filter to leave', levels: all, make: (l, c) => build(0xa2, idOf(c), none(l)) },
  { name: 'SUBSCRIBE identifier 0', levels: all, make: (l) => build(0x82, 0, 0, none(l), 'a', 0) },
  { name: 'UNSUBSCRIBE identifier 0', levels: all, make: (l) => build(0xa2, 0, 0, none(l), 'a') },
  { name: 'empty filter', levels: all, make: subscribe('') },
  { name: 'empty filter to leave', levels: all, make: unsubscribe('') },
  { name: '# amid a filter', levels: all, make: subscribe('a/#/b') },
  { name: '# behind a name', levels: all, make: subscribe('a#') },
  { name: '+ behind a name', levels: all, make: subscribe('a+/b') },
  { name: '+ behind a name to leave', levels: all, make: unsubscribe('a+/b') },
  {
    name: 'text of a filter',
    levels: all,
    make: (l, c) => build(0x82, idOf(c), none(l), badField(c), 0),
  },
  { name: 'QoS 3 asked for', levels: all, make: subscribe('a', 3) },
  { name: 'reserved option', levels: all, make: subscribe('a', 0xc0) },
  { name: 'option of MQTT 5', levels: older, make: subscribe('a', 0x04) },
  { name: 'retain handling 3', levels: five, make: subscribe('a', 0x30) },
  { name: 'share without a name', levels: five, make: subscribe('$share//a') },
  { name: 'share without a filter', levels: five, make: subscribe('$share/a') },
  { name: 'wildcard in a share name', levels: five, make: subscribe('$share/a+/b') },
  { name: 'shared with no local', levels: five, make: subscribe('$share/a/b', 0x04) },
  {
    ...{ name: 'subscription identifier 0', levels: five },
    make: (_, chance) => build(0x82, idOf(chance), properties(0x0b, 0), 'a', 0),
  },
  { name: 'options missing', levels: all, make: (l, c) => build(0x82, idOf(c), none(l), 'a') },
  // Acknowledgements, and what ends.
  {
    ...{ name: 'acknowledgement without identifier', levels: all },
    make: (_, chance) => build([0x40, 0x50, 0x62, 0x70][chance.below(4)]!),
  },
  {
    ...{ name: 'acknowledgement with identifier 0', levels: all },
    make: (_, chance) => build([0x40, 0x50, 0x62, 0x70][chance.below(4)]!, 0, 0),
  },
  {
    ...{ name: 'acknowledgement too long', levels: older },
    make: (_, chance) => build([0x40, 0x50, 0x62, 0x70][chance.below(4)]!, idOf(chance), 0),
  },
  {
    ...{ name: 'reason of an acknowledgement', levels: five },
    make: (_, chance) => build([0x40, 0x50, 0x62, 0x70][chance.below(4)]!, idOf(chance), 0x7f),
  },
  { name: 'PINGREQ with a payload', levels: all, make: () => build(0xc0, 1) },
  { name: 'DISCONNECT with a payload', levels: older, make: () => build(0xe0, 0) },
  { name: 'reason of a DISCONNECT', levels: five, make: () => build(0xe0, 0x7f) },
  {
    name: 'session expiry that was 0',
    levels: five,
    make: () => build(0xe0, 0, properties(0x11, 0, 0, 0, 9)),
  },
  { name: 'AUTH without a method', levels: five, make: () => build(0xf0, 0x18, properties()) },
];
