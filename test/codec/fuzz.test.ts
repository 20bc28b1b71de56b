/**
 * Damaged and invented payloads against every codec; `test/profile/fuzz.test.ts` has the profiles.
 *
 *   TIDEGATE_FUZZ_INPUTS=1000000 TIDEGATE_SEED=7 npx vitest run test/codec/fuzz.test.ts
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { type Codec, DecodeError, type Document, type Found } from '../../src/codec/codec.ts';
import { unpacking } from '../../src/codec/content-encoding.ts';
import { codecChoice, codecKinds, createCodec } from '../../src/codec/index.ts';
import { createChance, createDamage, isSlow } from './damage.ts';

const seed = Number(process.env.TIDEGATE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const inputs = Number(process.env.TIDEGATE_FUZZ_INPUTS ?? 5_000);
const slowMs = 1_000;

/** What stands in the configuration, beside the names that do without options. */
const configured: readonly object[] = [
  { kind: 'csv', columns: ['a', { name: 'b', type: 'number' }, ''], delimiter: ';', decimal: ',' },
  { kind: 'bytes', layout: 'cayenne' },
  { kind: 'protobuf', files: ['plant.proto'], message: 'plant.Reading' },
  { kind: 'protobuf', files: ['plant.proto'], message: 'plant.Batch', readings: 'readings' },
  {
    kind: 'bytes',
    path: 'data',
    input: 'hex',
    rest: 'ignore',
    layout: [{ name: 'a', type: 'u8' }],
  },
  {
    kind: 'bytes',
    endian: 'little',
    header: [{ name: 'type', type: 'u8' }],
    select: 'type',
    repeat: true,
    layouts: {
      1: [
        { name: 'f', type: 'f16', scale: 0.1 },
        { name: 'digits', type: 'bcd', length: 3 },
      ],
      2: [
        { name: 'bits', type: 'bits', bits: 61, signed: true },
        { type: 'bits', bits: 3 },
        { name: 'text', type: 'ascii', length: 2 },
      ],
    },
  },
];
const plain = Object.entries(codecKinds)
  .filter(([, kind]) => kind.options.safeParse({}).success)
  .map(([name]) => name as keyof typeof codecKinds);
const everyKind = join(import.meta.dirname, '../cases/protobuf/every-kind-of-field/plant.proto');
const schemas = new Map([['plant.proto', readFileSync(everyKind, 'utf8')]]);
const codecs: Codec[] = [...plain, ...configured].map((choice) =>
  unpacking(createCodec(codecChoice.parse(choice), schemas), 'auto'),
);

/** What devices really send: where damage begins. */
const cases = join(import.meta.dirname, '../cases');
const samples = Object.keys(codecKinds).flatMap((codec) =>
  readdirSync(join(cases, codec)).flatMap((name) => {
    const folder = join(cases, codec, name);
    const file = readdirSync(folder).find((each) => each.startsWith('payload.'));
    if (file === undefined) return [];
    const bytes = readFileSync(join(folder, file));
    const isHex = file.endsWith('.hex');
    return [isHex ? Buffer.from(bytes.toString().replaceAll(/\s/g, ''), 'hex') : bytes];
  }),
);

const damaged = createDamage(samples);

function found(codec: Codec, payload: Uint8Array): Found | undefined {
  try {
    return (
      codec.find?.(payload, 'spBv1.0/g/NDATA/n', 1_795_176_000_000) ?? {
        document: codec.decode(payload),
      }
    );
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    if (!error.message.endsWith('.')) throw new Error(`No sentence: ${error.message}`);
    return undefined;
  }
}

/** Fails for what no document may hold. */
function check(node: Document, level: number): void {
  if (level > 40) throw new Error('The document is too deep.');
  if (typeof node === 'number' && !Number.isFinite(node)) throw new Error(`${node} is no value.`);
  if (node === undefined || typeof node === 'function') throw new Error('That is no document.');
  if (typeof node !== 'object' || node === null) return;
  for (const each of Object.values(node)) check(each, level + 1);
}

function checkFound(result: Found | undefined): void {
  if (result === undefined) return;
  if ('document' in result) check(result.document, 0);
  else {
    if (result.readings.length > 10_000) throw new Error('There are too many readings.');
    for (const { device, measurement, tags, fields, time } of result.readings) {
      check({ device: device ?? '', measurement: measurement ?? '', tags: tags ?? {}, fields }, 0);
      if (typeof (time ?? 0) !== 'number') throw new Error(`${time} is no time.`);
    }
  }
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
function heapBytes(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

describe.each(codecs.map((codec, index) => [`${codec.name} ${index}`, codec] as const))(
  '%s',
  (_, codec) => {
    test(`any bytes are read or refused with a reason, at once (seed ${seed})`, () => {
      const chance = createChance(seed);
      for (let count = 0; count < inputs; count++) {
        const payload = damaged(chance);
        const begun = performance.now();
        try {
          checkFound(found(codec, payload));
        } catch (error) {
          const bytes = Buffer.from(payload).toString('base64');
          throw new Error(`Input ${count} (${bytes}) of seed ${seed}`, { cause: error });
        }
        const ms = performance.now() - begun;
        if (ms > slowMs && isSlow(slowMs, () => found(codec, payload))) {
          throw new Error(`Input ${count} of seed ${seed} takes ${ms} ms.`);
        }
      }
    }, 3_600_000);

    test(`what was read is forgotten (seed ${seed})`, () => {
      const chance = createChance(seed);
      const pass = (): void => {
        for (let count = 0; count < 400; count++) {
          // Names that were never seen before: what remembers them all would show.
          const name = `n${count}-${chance(2 ** 30)}`;
          for (const payload of [damaged(chance), namedAnew(name)]) found(codec, payload);
        }
      };
      for (let warm = 0; warm < 3; warm++) pass();
      const before = heapBytes();
      for (let more = 0; more < 5; more++) pass();
      // One that kept 64 KiB of each of its 10,000 messages would have grown by 640 MiB.
      expect(heapBytes() - before).toBeLessThan(24 * 2 ** 20);
    }, 120_000);

    test.each(worstCases())('256 KiB of %s are read or refused at once', (_name, payload) => {
      const begun = performance.now();
      found(codec, payload);
      expect(performance.now() - begun).toBeLessThan(2_000);
    });
  },
);

function namedAnew(name: string): Buffer {
  const text = 'x'.repeat(65_000);
  return Buffer.from(`m,host=${name} a="${text}",b="a text of some length ${name}"\n`);
}

/** What a careless reader looks at again and again, or believes. */
function worstCases(): (readonly [string, Buffer])[] {
  const size = 256 * 1_024;
  const repeated = (part: string): Buffer =>
    Buffer.from(part.repeat(Math.floor(size / part.length)));
  const texts = [
    'a\n',
    'a,b\n',
    'm a=\n',
    'm,',
    '"',
    '""\n',
    '"\n',
    '\\',
    'a=1,',
    '[',
    '{"a":',
    '[1,',
    '9',
  ];
  const packs = [
    `[${'{"n":"a","v":1},'.repeat(16_000)}{"n":"b","v":1}]`,
    `a b=${'9'.repeat(size)}i`,
  ];
  const bytes = [0x81, 0xa1, 0xc1, 0x9f, 0xbf, 0x5f, 0x7f, 0x00, 0xff, 0xc2, 0x61].map((byte) => [
    `the byte ${byte.toString(16)}`,
    Buffer.alloc(size, byte),
  ]) as [string, Buffer][];
  return [
    ...texts.map((part) => [JSON.stringify(part), repeated(part)] as const),
    ...packs.map((text) => [JSON.stringify(text.slice(0, 20)), Buffer.from(text)] as const),
    ...bytes,
    [
      'an array of numbers in CBOR',
      Buffer.concat([Buffer.of(0x9f), Buffer.alloc(size), Buffer.of(0xff)]),
    ],
    [
      'a bignum in CBOR',
      Buffer.concat([Buffer.from('c25a0003fff0', 'hex'), Buffer.alloc(0x3fff0, 9)]),
    ],
  ];
}
