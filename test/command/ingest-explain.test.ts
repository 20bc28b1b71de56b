import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { connectAsync } from 'mqtt';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createProcessLogger } from '../../src/platform/logger.ts';
import { runCommand, startCommand } from './command-line.ts';

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'tidegate-explain-'));
});
afterEach(() => {
  rmSync(cwd, { recursive: true });
});

const explain = (...given: string[]) => runCommand(['ingest', 'explain', ...given], { cwd });
const payload = (bytes: string | Uint8Array) => writeFileSync(join(cwd, 'p'), bytes);
const config = (text: string) => writeFileSync(join(cwd, 'tidegate.yaml'), text);

async function explained(topic: string, bytes: string | Uint8Array) {
  payload(bytes);
  const { status, out, err } = await explain('--topic', topic, '--payload', 'p', '--json');
  expect(err).toBe('');
  return { status, ...JSON.parse(out) };
}

test('it says which profile took a message, what was passed over and why, and what is recorded', async () => {
  payload('{"Time":"2026-01-02T10:00:00","AM2301":{"Temperature":24.6},"TempUnit":"C"}');
  const { status, out } = await explain('--topic', 'tele/plug/SENSOR', '--payload', 'p');
  expect(status).toBe(0);
  expect(out).toContain('tele/plug/SENSOR (75 bytes)\n');
  expect(out).toContain(
    'profile tasmota, mapping 1 (tele/+/SENSOR): passed over: ZbReceived is not',
  );
  expect(out).toContain('profile tasmota, mapping 2 (tele/{device}/SENSOR): matches');
  expect(out).toContain('from the topic: device = plug');
  expect(out).toContain('codec auto: {"Time":"2026-01-02T10:00:00"');
  expect(out).toContain('recorded as:');
  const event = JSON.parse(out.trim().split('\n').at(-1)!);
  expect(event).toMatchObject({
    type: 'io.tidegate.reading.v1',
    subject: 'plug',
    time: '2026-01-02T10:00:00.000Z',
    data: { measurement: 'sensor', fields: { AM2301_Temperature: 24.6 } },
  });
});

test('it says why not: no mapping, an ignored topic, no value, bytes that make no sense', async () => {
  config('ingest:\n  - topic: plant/{device}/climate\n  - { topic: plant/log, ignore: true }\n');
  expect(await explained('plant/a/b/climate', '1')).toMatchObject({
    outcome: 'unmatched',
    others: ['ingest[0]: plant/{device}/climate', 'ingest[1]: plant/log'],
  });
  expect(await explained('plant/log', 'hello')).toMatchObject({ status: 0, outcome: 'ignored' });
  expect(await explained('plant/a/climate', '')).toMatchObject({ outcome: 'empty' });
  expect(await explained('plant/a/climate', '{"t":')).toMatchObject({
    status: 1,
    outcome: 'undecodable',
    problem: expect.stringContaining('Not JSON'),
  });
  expect(await explained('plant/a/climate', 'nan')).toMatchObject({ outcome: 'undecodable' });
  expect(await explained('tidegate/status', '1')).toMatchObject({ outcome: 'unmatched' });
});

test('what would be recorded is what ingest records: nothing where a profile finds no value', async () => {
  expect(await explained('node/sensor/t/state', 'nan')).toMatchObject({
    status: 0,
    outcome: 'nothing',
  });
  expect(await explained('cmnd/plug/POWER', 'ON')).toMatchObject({ outcome: 'ignored' });
});

test('bytes may be packed, or written as digits or base64', async () => {
  const packed = gzipSync('{"t":21.5}');
  expect(await explained('shed/climate', packed)).toMatchObject({
    contentEncoding: 'gzip, 10 bytes',
    events: [{ subject: 'shed', data: { fields: { t: 21.5 } } }],
  });
  for (const how of ['hex', 'base64'] as const) {
    payload(`${packed.toString(how)}\n`);
    const { out } = await explain('--topic', 'a/b', '--payload', 'p', `--${how}`, '--json');
    expect(JSON.parse(out).events[0].data.fields).toEqual({ t: 21.5 });
  }
  payload('no digits');
  expect((await explain('--topic', 'a/b', '--payload', 'p', '--hex')).status).toBe(2);
});

test('wrong usage is said', async () => {
  for (const [given, said] of [
    [[], 'Give --topic and --payload, or --follow.'],
    [['--topic', 'a'], '--payload is missing'],
    [['--topic', 'a/+', '--payload', 'p'], 'no + and no #'],
    [['--follow', 'a', '--topic', 'a'], '--topic does not go with --follow'],
    [['--topic', 'a', '--payload', 'nowhere'], 'cannot be read'],
    [['--topic', 'a', '--payload', 'p', '--url', 'mqtt://x'], '--url goes with --follow'],
  ] as const) {
    const { status, err } = await explain(...given);
    expect([status, err]).toEqual([2, expect.stringContaining(said)]);
  }
});

test('a schema that a reading does not fit is named with the path', async () => {
  mkdirSync(join(cwd, 'schemas'));
  writeFileSync(
    join(cwd, 'schemas/1.json'),
    JSON.stringify({ properties: { fields: { properties: { t: { type: 'number' } } } } }),
  );
  config('schemas:\n  climate: { topic: a/#, versions: { 1: schemas/1.json }, validate: true }\n');
  expect(await explained('a/b', '{"t":"warm"}')).toMatchObject({
    status: 1,
    outcome: 'undecodable',
    problem: 'fields.t must be number (schema climate version 1).',
  });
  expect(await explained('a/b', '{"t":1}')).toMatchObject({
    events: [{ dataschema: 'urn:tidegate:schema:climate:1' }],
  });
});

test('--follow explains what comes on the broker of the running gateway', async () => {
  config(
    'broker: { listeners: [{ port: 18931 }] }\nadmin: { listen: "127.0.0.1:0" }\ndata: { dir: data }\n',
  );
  process.env.TIDEGATE_LOG_LEVEL = 'error';
  createProcessLogger(process.env, 'error');
  const gateway = startCommand(['run'], { cwd });
  const client = await connected('mqtt://127.0.0.1:18931');
  const follow = startCommand(['ingest', 'explain', '--follow', 'tele/#', '--json'], { cwd });
  try {
    const deadline = performance.now() + 20_000;
    while (!follow.out().includes('\n')) {
      if (performance.now() > deadline) throw new Error(`Nothing followed: ${follow.err()}`);
      await client.publishAsync('tele/plug/LWT', 'Online', { qos: 1 });
    }
    const first = JSON.parse(follow.out().split('\n')[0]!);
    expect(first).toMatchObject({
      topic: 'tele/plug/LWT',
      outcome: 'readings',
      events: [{ subject: 'plug', data: { measurement: 'presence', fields: { online: true } } }],
    });
  } finally {
    follow.stop();
    expect(await follow.status).toBe(0);
    await client.endAsync();
    gateway.stop();
    expect(await gateway.status).toBe(0);
  }
}, 60_000);

test('a broker that is not there is said', async () => {
  const following = explain('--follow', 'a/#', '--url', 'mqtt://127.0.0.1:9');
  await expect(following).rejects.toMatchObject({ code: 'GW_BROKER_UNREACHABLE' });
});

/** The gateway takes a moment to listen. */
async function connected(url: string) {
  const deadline = performance.now() + 20_000;
  for (;;) {
    try {
      return await connectAsync(url, { reconnectPeriod: 0 });
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
  }
}
