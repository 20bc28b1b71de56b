/**
 * What a reading costs on its way in, in nanoseconds: from bytes to a draft, and through a rule.
 *
 *   npm run build && node dist/test/bench/ingest.js
 */
import { pathToFileURL } from 'node:url';
import { jsonCodec } from '../../src/codec/json.ts';
import { ingestMappingOptions } from '../../src/codec/mapping-options.ts';
import type { CloudEvent } from '../../src/event/event.ts';
import { hashIdOf } from '../../src/event/hash-id.ts';
import { createDuplicateWindow } from '../../src/flow/duplicates.ts';
import { createIngest } from '../../src/flow/ingest.ts';
import { createMapper } from '../../src/flow/mapping.ts';
import type { EventLog } from '../../src/log/log.ts';
import { silentLogger } from '../../src/platform/logger.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { ruleKinds } from '../../src/rule/index.ts';
import type { Rule } from '../../src/rule/rule.ts';
import type { Message } from '../../src/source/source.ts';

type Print = (line: string) => void;

const devices = 100;
const rounds = 5;
const perRound = 400_000;

/** The best of some rounds: others share the machine. */
function nsPer(step: (index: number) => unknown): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const start = process.hrtime.bigint();
    for (let index = 0; index < perRound; index++) kept[index & 1] = step(index);
    best = Math.min(best, Number(process.hrtime.bigint() - start) / perRound);
  }
  return best;
}
/** Somebody must want the results, or they are never made. */
const kept: unknown[] = [];

const clock = {
  now: () => start,
  monotonic: () => 0,
  boot: '',
  quality: () => 'synchronised' as const,
  sleep: () => Promise.resolve(),
};
const start = Date.UTC(2026, 10, 20);

function messages(ts: (index: number) => unknown): Message[] {
  return Array.from({ length: 1_024 }, (_, index) => {
    const device = `gh-${String(index % devices).padStart(2, '0')}`;
    const reading = {
      ts: ts(index),
      temperature: Math.round(2000 + 500 * Math.sin(index)) / 100,
      humidity: 40 + (index % 20),
      pressure: 1013.25,
      battery: 3.71,
      status: 'ok',
      seq: index,
    };
    return {
      topic: `sensors/${device}/climate`,
      payload: Buffer.from(JSON.stringify(reading)),
      receivedAt: start,
    };
  });
}

function mapper(mapping: object) {
  return createMapper(
    [
      ingestMappingOptions.parse({
        topic: 'sensors/{device}/{measurement}',
        codec: 'json',
        ...mapping,
      }),
    ],
    { source: '/gateways/bench/broker', clock, onRefusedTime: () => {} },
  );
}

function decodeAndMap(mapping: object, all: readonly Message[]) {
  const routeOf = mapper(mapping);
  return (index: number): unknown => {
    const message = all[index & 1_023]!;
    const route = routeOf(message.topic)!;
    return route.read(message);
  };
}

function readings(): CloudEvent<'reading'>[] {
  const step = decodeAndMap(
    {},
    messages(() => start),
  );
  return Array.from({ length: 1_024 }, (_, index) => {
    const { drafts } = step(index) as { drafts: CloudEvent<'reading'>[] };
    // Property by property, as the log makes its entries: a spread would give slower objects.
    const { type, source, subject, time, data } = drafts[0]!;
    return { id: `${index}`, type, source, subject, time, data, recordedTime: start };
  });
}

export async function run(print: Print): Promise<void> {
  const row = (what: string, ns: number): void =>
    print(`${what.padEnd(52)}${ns.toFixed(0).padStart(6)} ns`);
  const all = messages((index) => start + index);
  const dated = messages((index) => new Date(start + index).toISOString());
  print(`A reading of ${all[9]!.payload.byteLength} bytes with 7 members.`);
  row(
    'JSON.parse of its text',
    nsPer((index) => JSON.parse(String(all[index & 1_023]!.payload))),
  );
  row(
    'decode',
    nsPer((index) => jsonCodec.decode(all[index & 1_023]!.payload)),
  );
  row('decode and map', nsPer(decodeAndMap({}, all)));
  row(
    '  with time in milliseconds',
    nsPer(decodeAndMap({ time: { path: 'ts', unit: 'ms' } }, all)),
  );
  row('  with time as ISO 8601', nsPer(decodeAndMap({ time: { path: 'ts' } }, dated)));
  const fields = { temperature: 'temperature', humidity: 'humidity' };
  row('  with two fields chosen', nsPer(decodeAndMap({ fields }, all)));
  row('  with an identity', nsPer(decodeAndMap({ identity: ['ts', 'seq'] }, all)));
  benchDuplicates(row);
  await benchIngest(row, all);
  benchRules(row);
}

function benchDuplicates(row: (what: string, ns: number) => void): void {
  const window = createDuplicateWindow(100_000);
  const many = Array.from({ length: 200_000 }, (_, index) => hashIdOf(['seq', index]));
  for (const id of many.slice(0, 100_000)) window.remember(id);
  row(
    'duplicate window, full: not there, remember',
    nsPer((index) => {
      const id = many[(index + 100_000) % many.length]!;
      if (!window.has(id)) window.remember(id);
    }),
  );
}

/** 100 messages a call, into a log that takes everything at once: what is left is ours. */
async function benchIngest(
  row: (what: string, ns: number) => void,
  all: readonly Message[],
): Promise<void> {
  const calls = 2_000;
  const log = { append: async () => 0 } as unknown as EventLog;
  for (const identity of [[], ['seq']]) {
    const ingest = createIngest({
      ...{ gateway: 'bench', source: 'broker', log, clock, logger: silentLogger },
      mappings: [ingestMappingOptions.parse({ topic: 'sensors/{device}/{measurement}', identity })],
      ...(identity.length === 0 ? {} : { duplicates: createDuplicateWindow(100_000) }),
      metrics: createMetrics(),
    });
    let best = Number.POSITIVE_INFINITY;
    for (let round = 0; round < rounds; round++) {
      const begun = process.hrtime.bigint();
      for (let call = 0; call < calls; call++) {
        const from = (call * 100) % 900;
        await ingest(all.slice(from, from + 100));
      }
      best = Math.min(best, Number(process.hrtime.bigint() - begun) / (calls * 100));
    }
    row(identity.length === 0 ? 'ingest' : 'ingest of repeats, with an identity', best);
  }
}

function benchRules(row: (what: string, ns: number) => void): void {
  const events = readings();
  const { threshold, silence } = ruleKinds;
  const stepping = (each: Rule) => {
    let elapsed = 0;
    return (index: number) => each.step(events[index & 1_023]!, ++elapsed);
  };
  const thresholdOf = (options: object): Rule =>
    threshold.create(threshold.options.parse(options), { name: 'hot' });
  const silenceOf = (where: object): Rule =>
    silence.create(silence.options.parse({ after: '5m', where }), { name: 'silent' });
  const where = { device: 'gh-*', measurement: 'climate' };
  const field = 'temperature';
  const rules: Record<string, Rule> = {
    'threshold: another field': thresholdOf({ field: 'voltage', above: 30 }),
    'threshold: within bounds': thresholdOf({ field, above: 30 }),
    'threshold: beyond and firing, where': thresholdOf({ field, above: 0, where }),
    'threshold: beyond and pending': thresholdOf({ field, above: 0, for: '30d' }),
    'threshold: fires or resolves one time in two': thresholdOf({ field, above: 20 }),
    'silence: another measurement': silenceOf({ measurement: 'soil' }),
    'silence: matching, where': silenceOf(where),
  };
  row(
    'reading the event alone',
    nsPer((index) => events[index & 1_023]!.type),
  );
  for (const name in rules) row(name, nsPer(stepping(rules[name]!)));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await run(console.log);
