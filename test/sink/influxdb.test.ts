import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CloudEvent, Value } from '../../src/event/event.ts';
import { sinkKinds } from '../../src/sink/index.ts';
import { numbered } from '../contract/sink.ts';
import { alertOf, idAt, readingOf } from '../event/events.ts';
import { available } from '../services/child.ts';
import { type InfluxDb, startInfluxDb } from '../services/influxdb.ts';
import { startHttpReceiver } from './http-receiver.ts';
import { endless, failureOf, sinkOf, sinkParts, withConnection } from './parts.ts';

const start = 1_795_000_000_000;

/** A reading of one field, `position` apart from others of its millisecond. */
function reading(position: number, fields: Record<string, Value>, time = start + position) {
  const data = { measurement: 'm', tags: {}, fields };
  return Object.assign(readingOf({ id: idAt(position), subject: 'd', time, data }), { position });
}

describe.skipIf(!available('influxd'))('a real InfluxDB 1.6', () => {
  let influx: InfluxDb;
  let databases = 0;
  const sinkTo = async (options: object = {}) => {
    const database = `db${databases++}`;
    const sink = sinkOf(sinkKinds.influxdb, { url: influx.url, database, ...options });
    return { sink, database };
  };
  /** Delivers, and tells the rejections as pairs of id and reason. */
  const deliver = async (sink: ReturnType<typeof sinkOf>, events: readonly CloudEvent[]) =>
    await withConnection(sink, async (connection) => {
      const rejections = await connection.deliver(events, endless);
      return rejections.map(({ event, reason }) => [event.id, reason] as const);
    });

  beforeAll(async () => {
    influx = await startInfluxDb({ maxBodyBytes: 20_000 });
  });
  afterAll(async () => await influx.stop());

  test('gets its database created, and a person is told', async () => {
    const parts = sinkParts();
    const sink = sinkOf(sinkKinds.influxdb, { url: influx.url, database: 'fresh' }, parts);
    await deliver(sink, [reading(1, { v: 1 })]);
    expect(await influx.rows('fresh', 'm')).toHaveLength(1);
    expect(parts.log.map(({ message }) => message)).toEqual(['Created the database in InfluxDB.']);
  });

  test('a missing database that may not be created is an error with its remedy', async () => {
    const sink = sinkOf(sinkKinds.influxdb, { url: influx.url, database: 'no', create: false });
    const error = await failureOf(sink.connect(endless));
    expect(error).toMatchObject({ code: 'GW_SINK_REFUSED' });
    expect(error.message).toContain('database not found: "no": create the database');
  });

  test('a missing retention policy is an error with its remedy, however transient it looks', async () => {
    const { sink, database } = await sinkTo({ retentionPolicy: 'gone' });
    await influx.query(`CREATE DATABASE ${database}`);
    const error = await failureOf(deliver(sink, [reading(1, { v: 1 })]));
    expect(error).toMatchObject({ code: 'GW_SINK_REFUSED' });
    expect(error.message).toContain('retention policy not found: gone. Create it');
  });

  test('keeps every reading of one device in one millisecond, and a repeat only once', async () => {
    const { sink, database } = await sinkTo();
    const events = Array.from({ length: 100 }, (_, n) => reading(n + 1, { v: n }, start));
    await deliver(sink, events);
    // As after a crash: again, and cut elsewhere.
    await deliver(sink, events.slice(0, 30));
    await deliver(sink, events.slice(30));
    const rows = await influx.rows(database, 'm');
    expect(rows.map(({ v }) => v)).toEqual(events.map((_, n) => n));
  });

  test('with precision ms the later of one millisecond is kept', async () => {
    const { sink, database } = await sinkTo({ precision: 'ms' });
    await deliver(sink, [reading(1, { v: 1 }, start), reading(2, { v: 2 }, start)]);
    expect(await influx.rows(database, 'm')).toEqual([
      { time: `${start}000000`, device: 'd', v: 2 },
    ]);
  });

  test('alerts are points of their own measurement, whatever the types of their values', async () => {
    const { sink, database } = await sinkTo({ tags: { gateway: 'g1' } });
    const alerts = [31.2, 'open', true, 5n].map((value, n) =>
      alertOf({ id: `a${n}`, time: start + n, data: { ...alertOf().data, value } }),
    );
    expect(await deliver(sink, alerts)).toEqual([]);
    const rows = await influx.rows(database, 'alert');
    expect(rows.map(({ value, value_text }) => [value, value_text])).toEqual([
      [31.2, null],
      [null, 'open'],
      [null, 'true'],
      [5, null],
    ]);
    expect(rows[0]).toMatchObject({
      ...{ device: 'gh-07', rule: 'overheat', severity: 'warning', gateway: 'g1' },
      ...{ state: 'firing', incident: 'i-1', summary: 'gh-07 is at 31.2 °C', threshold: 30 },
    });
  });

  describe('refuses only what it must', () => {
    const good = (count: number, from = 1) =>
      Array.from({ length: count }, (_, n) => reading(from + n, { v: n }));
    const stored = async (database: string) => (await influx.rows(database, 'm')).length;

    test('a field that has another type already', async () => {
      const { sink, database } = await sinkTo();
      await deliver(sink, good(1));
      const bad = [7, 20, 21, 90].map((at) => reading(1_000 + at, { v: 'a text' }));
      const events = [...good(50), ...bad, ...good(50, 100)];
      const rejected = await deliver(sink, events);
      expect(rejected.map(([id]) => id).sort()).toEqual(bad.map(({ id }) => id).sort());
      expect(rejected[0]![1]).toContain(
        'input field "v" on measurement "m" is type string, already exists as type float',
      );
      expect(await stored(database)).toBe(100);
    });

    test('the later type of a new field, when one batch has two', async () => {
      const { sink, database } = await sinkTo();
      const bad = reading(500, { v: true });
      const rejected = await deliver(sink, [...good(20), bad, ...good(20, 30)]);
      expect(rejected.map(([id]) => id)).toEqual([bad.id]);
      expect(await stored(database)).toBe(40);
    });

    test('what is older than its retention policy', async () => {
      const { sink, database } = await sinkTo();
      await influx.query(`CREATE DATABASE ${database} WITH DURATION 24h`);
      const now = Date.now();
      const fresh = Array.from({ length: 30 }, (_, n) => reading(n + 1, { v: n }, now - n));
      const old = [0, 1, 2].map((n) => reading(100 + n, { v: n }, now - 30 * 86_400_000));
      const rejected = await deliver(sink, [...fresh.slice(0, 9), ...old, ...fresh.slice(9)]);
      expect(rejected.map(([id]) => id).sort()).toEqual(old.map(({ id }) => id).sort());
      expect(rejected[0]![1]).toContain('points beyond retention policy');
      expect(await stored(database)).toBe(30);
    });

    test('a series whose name is too long, and a point larger than a request may be', async () => {
      const { sink, database } = await sinkTo({ gzip: false });
      const long = readingOf({
        id: 'long',
        time: start + 900,
        data: { measurement: 'm', tags: { t: 'x'.repeat(25_000) }, fields: { v: 1 } },
      });
      const rejected = await deliver(sink, [...good(200), long]);
      expect(rejected).toEqual([['long', expect.stringContaining('413')]]);
      expect(await stored(database)).toBe(200);
      const packed = await sinkTo();
      const endlessTag = { ...long, data: { ...long.data, tags: { t: 'x'.repeat(70_000) } } };
      const [refusal] = await deliver(packed.sink, [...good(5), endlessTag]);
      expect(refusal).toEqual(['long', expect.stringContaining('max key length exceeded')]);
      expect(await stored(packed.database)).toBe(5);
    });

    test('and never loses or doubles one, whatever types the fields of a batch have', async () => {
      const fields = fc.record({
        a: fc.option(fc.oneof(fc.nat(), fc.boolean(), fc.constant('text'), fc.constant(5n))),
        b: fc.option(fc.oneof(fc.nat(), fc.constant('text'))),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(fields, { minLength: 1, maxLength: 40 }), async (batch) => {
          const { sink, database } = await sinkTo();
          const events = batch.map(({ a, b }, n) =>
            reading(n, { ...(a !== null && { a }), ...(b !== null && { b }) }),
          );
          const rejected = await deliver(sink, events);
          const missing = new Set(rejected.map(([id]) => id));
          expect(rejected).toHaveLength(missing.size);
          const times = (await influx.rows(database, 'm')).map(({ time }) => time);
          const expected = events.filter(({ id }) => !missing.has(id));
          expect(times).toEqual(
            expected.map(({ time, position }) => `${time}${String(position).padStart(6, '0')}`),
          );
          // What is refused would be refused alone, too.
          for (const event of events.filter(({ id }) => missing.has(id)).slice(0, 3)) {
            expect(await deliver(sink, [event])).toHaveLength(1);
          }
          await influx.query(`DROP DATABASE ${database}`);
        }),
        { numRuns: 12 },
      );
    });

    test('what has no form as a point, without asking', async () => {
      const { sink } = await sinkTo();
      const bad = reading(1, { v: Number.NaN });
      expect(await deliver(sink, [bad])).toEqual([
        [bad.id, expect.stringContaining('No field has a finite number')],
      ]);
    });

    test('everything, when everything is bad, in few requests', async () => {
      const { sink, database } = await sinkTo();
      await deliver(sink, good(1));
      const bad = Array.from({ length: 300 }, (_, n) => reading(n + 10, { v: 'text' }));
      const before = await writesOf(influx);
      expect(await deliver(sink, bad)).toHaveLength(300);
      expect((await writesOf(influx)) - before).toBeLessThan(5);
      expect(await stored(database)).toBe(1);
    });
  });
});

/** Write requests the server has seen. */
async function writesOf(influx: InfluxDb): Promise<number> {
  const [httpd] = await influx.query(`SHOW STATS FOR 'httpd'`);
  return Number(httpd!.values[0]![httpd!.columns.indexOf('writeReq')]);
}

describe.skipIf(!available('influxd'))('a real InfluxDB with users', () => {
  let influx: InfluxDb;
  const admin = { username: 'admin', password: 'secret "1' };
  const sinkAs = (credentials: object) =>
    sinkOf(sinkKinds.influxdb, { url: influx.url, database: 'guarded', ...credentials });
  beforeAll(async () => {
    influx = await startInfluxDb({ admin });
  });
  afterAll(async () => await influx.stop());

  test('takes points with the right password, and creates the database with it', async () => {
    await withConnection(sinkAs(admin), async (connection) => {
      expect(await connection.deliver([numbered(1)], endless)).toEqual([]);
    });
    expect(await influx.rows('guarded', 'climate')).toHaveLength(1);
  });

  test.each([
    ['no password', {}, 'InfluxDB answers 401'],
    ['a wrong password', { username: 'admin', password: 'x' }, 'InfluxDB answers 401'],
    ['no right to write', { username: 'reader', password: 'reader' }, 'InfluxDB answers 403'],
  ])('with %s nothing is rejected: a person must act', async (_, credentials, words) => {
    await influx.query(`CREATE USER "reader" WITH PASSWORD 'reader'`).catch(() => undefined);
    const error = await failureOf(sinkAs(credentials).connect(endless));
    expect(error).toMatchObject({ code: 'GW_SINK_REFUSED' });
    expect(error.message).toContain(words);
  });
});

describe('what other versions answer', () => {
  const started = async (options: object) => {
    const receiver = await startHttpReceiver();
    const sink = sinkOf(sinkKinds.influxdb, { url: `${receiver.url}/base/`, ...options });
    return { receiver, sink };
  };
  const v3 = { version: 3, database: 'sensors', token: 'apiv3_x' };

  test('version 2 is asked as it is documented', async () => {
    const { receiver, sink } = await started({ version: 2, org: 'o', bucket: 'b c', token: 't' });
    await withConnection(
      sink,
      async (c) => void (await c.deliver([reading(1, { v: 1 })], endless)),
    );
    const [proof, write] = receiver.requests;
    expect(proof).toMatchObject({ text: '' });
    expect(write).toMatchObject({
      url: '/base/api/v2/write?org=o&bucket=b+c&precision=ns',
      text: `m,device=d v=1 ${start + 1}000001\n`,
    });
    expect(write?.headers.authorization).toBe('Token t');
    await receiver.gone();
  });

  test('version 3 is asked as it is documented, and compressed', async () => {
    const { receiver, sink } = await started(v3);
    const events = Array.from({ length: 100 }, (_, n) => reading(n, { v: n }));
    await withConnection(sink, async (c) => void (await c.deliver(events, endless)));
    const write = receiver.requests[1]!;
    expect(write.url).toBe(
      '/base/api/v3/write_lp?db=sensors&precision=nanosecond&accept_partial=true',
    );
    expect(write.headers).toMatchObject({
      authorization: 'Bearer apiv3_x',
      'content-encoding': 'gzip',
    });
    expect(write.text.split('\n')).toHaveLength(101);
    expect(receiver.connections).toBe(1);
    await receiver.gone();
  });

  test('version 3 names the lines it refuses, and the rest is proved to be stored', async () => {
    const { receiver, sink } = await started(v3);
    const stored = new Set<string>();
    receiver.answer = ({ text }) => {
      const lines = text.split('\n').filter((line) => line !== '');
      const data = lines.flatMap((line, at) =>
        line.includes('"bad"')
          ? [{ original_line: line.slice(0, 5), line_number: at + 1, error_message: 'it is bad' }]
          : [],
      );
      for (const line of lines) if (!line.includes('"bad"')) stored.add(line);
      if (data.length === 0) return { status: 204 };
      return {
        status: 400,
        text: JSON.stringify({ error: 'partial write of line protocol occurred', data }),
      };
    };
    const events = Array.from({ length: 10 }, (_, n) => reading(n, { v: n % 4 === 1 ? 'bad' : n }));
    const rejections = await withConnection(sink, async (c) => await c.deliver(events, endless));
    expect(rejections).toEqual(
      [1, 5, 9].map((n) => ({ event: events[n], reason: 'InfluxDB: it is bad' })),
    );
    expect(stored.size).toBe(7);
    expect(receiver.requests).toHaveLength(3);
    await receiver.gone();
  });

  test('version 2 refuses with 422, and only what is bad is rejected', async () => {
    const { receiver, sink } = await started({ version: 2, org: 'o', bucket: 'b', token: 't' });
    receiver.answer = ({ text }) =>
      text.includes('"bad"')
        ? {
            status: 422,
            text: JSON.stringify({
              code: 'unprocessable entity',
              message: 'failure writing points to database: partial write: field type conflict',
            }),
          }
        : { status: 204 };
    const events = Array.from({ length: 20 }, (_, n) => reading(n, { v: n === 13 ? 'bad' : n }));
    const rejections = await withConnection(sink, async (c) => await c.deliver(events, endless));
    expect(rejections.map(({ event }) => event)).toEqual([events[13]]);
    await receiver.gone();
  });

  test.each([
    [
      '429',
      { status: 429, headers: { 'retry-after': '7' } },
      { name: 'RetryLater', afterMs: 7_000 },
    ],
    [
      '503',
      { status: 503, headers: { 'retry-after': '2' } },
      { name: 'RetryLater', afterMs: 2_000 },
    ],
    ['429 without a time', { status: 429 }, { code: 'GW_SINK_UNAVAILABLE' }],
    [
      '500',
      { status: 500, text: 'engine: no space left on device' },
      { code: 'GW_SINK_UNAVAILABLE' },
    ],
    [
      '400 of a proxy',
      { status: 400, text: '<html>plain HTTP to HTTPS port</html>' },
      { code: 'GW_SINK_REFUSED' },
    ],
    [
      '400 about the request',
      { status: 400, text: '{"error":"database is required"}' },
      { code: 'GW_SINK_REFUSED' },
    ],
    ['404 of a page', { status: 404, text: '404 page not found' }, { code: 'GW_SINK_REFUSED' }],
    [
      '307',
      { status: 307, headers: { location: 'https://elsewhere/' } },
      { code: 'GW_SINK_REFUSED' },
    ],
  ])('%s rejects nothing', async (_, answer, expected) => {
    const { receiver, sink } = await started(v3);
    const connection = await sink.connect(endless);
    receiver.answer = () => answer;
    expect(await failureOf(connection.deliver([reading(1, { v: 1 })], endless))).toMatchObject(
      expected,
    );
    await connection.close();
    await receiver.gone();
  });

  test('a server that does not answer in time is given up', async () => {
    const { receiver, sink } = await started({ ...v3, timeout: '100ms' });
    const connection = await sink.connect(endless);
    receiver.isHanging = true;
    const error = await failureOf(connection.deliver([reading(1, { v: 1 })], endless));
    expect(error.message).toContain('no answer within 100 ms');
    await connection.close();
    await receiver.gone();
  });
});

test.each([
  [{ version: 2, bucket: 'b' }, 'org'],
  [{ version: 2, org: 'o' }, 'bucket'],
  [{ version: 1 }, 'database'],
  [{ version: 3 }, 'database'],
  [{ database: 'd', username: 'u' }, 'password'],
])('options that lack something are refused: %j', (options, missing) => {
  const parsed = sinkKinds.influxdb.options.safeParse({ url: 'http://a:1', ...options });
  expect(parsed.error?.issues.map(({ path }) => path)).toEqual([[missing]]);
});

test('an address with a password in it is refused', () => {
  const url = 'http://me:secret@host:8086';
  expect(sinkKinds.influxdb.options.safeParse({ url, database: 'd' }).success).toBe(false);
});
