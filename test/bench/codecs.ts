/**
 * What a reading costs to decode, in nanoseconds, in every format that the gateway knows without a
 * schema: 7 values of one device, one reading a message, and a hundred where a format has room.
 *
 *   npm run build && node dist/test/bench/codecs.js
 */
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import type { Codec, Document } from '../../src/codec/codec.ts';
import { unpacking } from '../../src/codec/content-encoding.ts';
import { type CodecChoice, codecChoice, createCodec } from '../../src/codec/index.ts';

type Print = (line: string) => void;

const rounds = 5;
const roundMs = 150;
const start = Date.UTC(2026, 10, 20);

const values = (index: number) => ({
  temperature: Math.round(2000 + 500 * Math.sin(index)) / 100,
  humidity: 40 + (index % 20),
  pressure: 1013.25,
  battery: 3.71,
  status: 'ok',
  seq: index,
});
type Values = ReturnType<typeof values>;

const flat = (index: number): Document => ({ ts: start + index, ...values(index) });
const point = (index: number): Document => ({
  measurement: 'climate',
  tags: { device: `gh-${String(index % 100).padStart(2, '0')}`, site: 'north' },
  fields: values(index),
  time: BigInt(start + index) * 1_000_000n,
});
const records = (index: number): Document =>
  Object.entries(values(index)).map(([n, value], at) => ({
    ...(at === 0 ? { bn: `urn:dev:mac:0024befffe8${index}:`, bt: (start + index) / 1_000 } : {}),
    n,
    ...(typeof value === 'string' ? { vs: value } : { v: value }),
  }));

const layout = [
  { name: 'ts', type: 'u48' },
  { name: 'temperature', type: 'i16', scale: 0.01 },
  { name: 'humidity', type: 'u8' },
  { name: 'pressure', type: 'u16', scale: 0.1 },
  { name: 'battery', type: 'bits', bits: 12, scale: 0.001 },
  { name: 'status', type: 'bits', bits: 4, enum: { 0: 'ok', 1: 'bad' } },
  { name: 'seq', type: 'u32' },
];

interface Case {
  readonly what: string;
  readonly choice: object | string;
  readonly message: (index: number) => Document;
  /** Readings in a message. */
  readonly count?: number;
  readonly isPacked?: boolean;
}

const hundred = (make: (index: number) => Document) => (index: number) =>
  Array.from({ length: 100 }, (_, at) => make(index * 100 + at));

const columns = ['ts', ...Object.keys(values(0))];
const cases: readonly Case[] = [
  { what: 'json', choice: 'json', message: flat },
  { what: 'json in gzip', choice: 'json', message: flat, isPacked: true },
  { what: 'auto, of JSON', choice: 'auto', message: flat },
  { what: 'json, 100 a message', choice: 'json', message: hundred(flat), count: 100 },
  { what: 'cbor', choice: 'cbor', message: flat },
  { what: 'cbor, 100 a message', choice: 'cbor', message: hundred(flat), count: 100 },
  { what: 'csv', choice: { kind: 'csv', columns }, message: (index) => [flat(index)] },
  { what: 'csv, 100 a message', choice: 'csv', message: hundred(flat), count: 100 },
  { what: 'line-protocol', choice: 'line-protocol', message: (index) => [point(index)] },
  {
    what: 'line-protocol, 100 a message',
    choice: 'line-protocol',
    message: hundred(point),
    count: 100,
  },
  { what: 'senml, a pack of 6 records', choice: 'senml', message: records },
  {
    what: 'senml in CBOR, a pack of 6 records',
    choice: { kind: 'senml', format: 'cbor' },
    message: records,
  },
  { what: 'bytes, 7 fields in 19 bytes', choice: { kind: 'bytes', layout }, message: flat },
  {
    what: 'bytes, Cayenne LPP, 4 values',
    choice: { kind: 'bytes', layout: 'cayenne' },
    message: (index) => {
      const { temperature, humidity, pressure, battery } = values(index) as Values;
      return {
        temperature_1: temperature,
        relative_humidity_2: humidity,
        barometric_pressure_3: pressure,
        analog_in_4: battery,
      };
    },
  },
];

/** The best of some rounds: others share the machine. */
function nsPer(step: (index: number) => unknown): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const begun = process.hrtime.bigint();
    const end = begun + BigInt(roundMs) * 1_000_000n;
    let count = 0;
    let now = begun;
    for (; now < end; now = process.hrtime.bigint()) {
      for (let at = 0; at < 64; at++) kept[at & 1] = step(count++ & 255);
    }
    best = Math.min(best, Number(now - begun) / count);
  }
  return best;
}
/** Somebody must want the results, or they are never made. */
const kept: unknown[] = [];

const read = (codec: Codec, payload: Uint8Array): unknown =>
  codec.find?.(payload, 'sensors/gh-07/climate', start) ?? codec.decode(payload);

export async function run(print: Print): Promise<void> {
  const all = Array.from({ length: 256 }, (_, index) => index);
  const texts = all.map((index) => Buffer.from(JSON.stringify(flat(index))));
  print(`${columns.length} values; nanoseconds and bytes of each reading.`);
  const row = (what: string, ns: number, bytes: number): void =>
    print(`${what.padEnd(40)}${ns.toFixed(0).padStart(6)} ns${bytes.toFixed(0).padStart(7)} bytes`);
  row(
    'JSON.parse of a text',
    nsPer((index) => JSON.parse(String(texts[index]))),
    texts[0]!.byteLength,
  );
  for (const { what, choice, message, count = 1, isPacked } of cases) {
    const codec = unpacking(createCodec(codecChoice.parse(choice) as CodecChoice), 'auto');
    const payloads = all.map((index) => {
      const bytes = codec.encode(message(index));
      return isPacked ? gzipSync(bytes) : bytes;
    });
    const ns = nsPer((index) => read(codec, payloads[index]!));
    row(what, ns / count, payloads[0]!.byteLength / count);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await run(console.log);
