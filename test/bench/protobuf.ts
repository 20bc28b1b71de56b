/**
 * What binary readings cost on their way in, in nanoseconds, beside a library that does only a part
 * of it. The library's `decode` leaves 64-bit numbers as objects and nothing in its place; `toObject`
 * comes nearest to a document.
 *
 *   npm run build && node dist/test/bench/protobuf.js
 */
import { pathToFileURL } from 'node:url';
import protobuf from 'protobufjs';
import { ingestMappingOptions } from '../../src/codec/mapping-options.ts';
import { createProtobufCodec, protobuf as kind } from '../../src/codec/protobuf.ts';
import { payloadOf } from '../../src/codec/sparkplug-document.ts';
import { createMapper } from '../../src/flow/mapping.ts';

const rounds = 5;
const perRound = 200_000;
const start = Date.UTC(2026, 10, 20);

/** The best of some rounds: others share the machine. */
function nsPer(step: (index: number) => unknown): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const began = process.hrtime.bigint();
    for (let index = 0; index < perRound; index++) kept[index & 1] = step(index);
    best = Math.min(best, Number(process.hrtime.bigint() - began) / perRound);
  }
  return best;
}
/** Somebody must want the results, or they are never made. */
const kept: unknown[] = [];

const clock = {
  ...{ now: () => start, monotonic: () => 0, boot: '' },
  quality: () => 'synchronised' as const,
  sleep: () => Promise.resolve(),
};

const schema = `syntax = "proto3";
message Reading {
  uint64 ts = 1; double temperature = 2; float humidity = 3; double pressure = 4;
  float battery = 5; string status = 6; uint32 seq = 7;
}`;

export function run(print: (line: string) => void): void {
  const row = (what: string, ns: number): void =>
    print(`${what.padEnd(52)}${ns.toFixed(0).padStart(6)} ns`);
  benchProtobuf(print, row);
  benchSparkplug(print, row);
}

type Row = (what: string, ns: number) => void;

function benchProtobuf(print: (line: string) => void, row: Row): void {
  const type = protobuf.parse(schema, { keepCase: true }).root.lookupType('Reading');
  const all = Array.from({ length: 1_024 }, (_, index) =>
    type
      .encode({
        ts: start + index,
        temperature: Math.round(2_000 + 500 * Math.sin(index)) / 100,
        humidity: 40 + (index % 20),
        ...{ pressure: 1013.25, battery: 3.71, status: 'ok', seq: index },
      })
      .finish(),
  ).map((bytes) => Buffer.from(bytes));
  const files = new Map([['r.proto', schema]]);
  const options = kind.options.parse({ files: ['r.proto'], message: 'Reading' });
  const codec = createProtobufCodec(options, files);
  const mapping = { topic: '{device}/{measurement}', codec: { kind: 'protobuf', ...options } };
  const routeOf = mapper({ ...mapping, time: { path: 'ts', unit: 'ms' } }, files);
  print(`Protocol Buffers: a reading of ${all[9]!.byteLength} bytes with 7 members.`);
  row(
    'protobufjs decode',
    nsPer((index) => type.decode(all[index & 1_023]!)),
  );
  const plain = { longs: Number, defaults: true };
  row(
    'protobufjs decode and toObject',
    nsPer((index) => type.toObject(type.decode(all[index & 1_023]!), plain)),
  );
  row(
    'decode',
    nsPer((index) => codec.decode(all[index & 1_023]!)),
  );
  row('decode and map', nsPer(reading(routeOf, 'gh-07/climate', all)));
}

function benchSparkplug(print: (line: string) => void, row: Row): void {
  const names = ['temperature', 'humidity', 'pressure', 'battery', 'rssi', 'seq'];
  const metrics = (index: number, isBirth: boolean) =>
    names.map((name, at) => ({
      ...(isBirth ? { name, datatype: 'Double' } : {}),
      ...{ alias: at, value: index + at / 8 },
    }));
  const all = Array.from({ length: 1_024 }, (_, index) => {
    const seq = (index + 1) & 0xff;
    return Buffer.from(
      payloadOf({ timestamp: start + index, seq, metrics: metrics(index, false) }),
    );
  });
  const routeOf = mapper({ topic: 'spBv1.0/#', codec: 'sparkplug' }, new Map());
  const birth = payloadOf({ timestamp: start, seq: 0, metrics: metrics(0, true) });
  const born = { topic: 'spBv1.0/plant/NBIRTH/a', payload: birth, receivedAt: start };
  routeOf(born.topic)!.read(born);
  print(`Sparkplug B: data of ${all[9]!.byteLength} bytes with 6 metrics by alias.`);
  const ns = nsPer(reading(routeOf, 'spBv1.0/plant/NDATA/a', all));
  row('decode, resolve and map', ns);
  row('  each metric', ns / names.length);
}

function mapper(mapping: object, codecFiles: ReadonlyMap<string, string>) {
  const parts = { source: '/gateways/bench/broker', clock, onRefusedTime: () => {}, codecFiles };
  return createMapper([ingestMappingOptions.parse(mapping)], parts);
}

function reading(routeOf: ReturnType<typeof mapper>, topic: string, all: readonly Uint8Array[]) {
  return (index: number): unknown => {
    const message = { topic, payload: all[index & 1_023]!, receivedAt: start };
    return routeOf(topic)!.read(message);
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) run(console.log);
