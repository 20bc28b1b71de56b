import { afterEach, describe, expect, test } from 'vitest';
import { toCloudEventsText } from '../../src/event/cloudevents-json.ts';
import { createHttpSource } from '../../src/source/http.ts';
import { runSource, sourceParts, stopRuns } from './run-source.ts';

afterEach(stopRuns);

const create = (options: { token?: string } = {}) => createHttpSource(options, sourceParts('http'));
const posted = (
  body: string,
  headers: Record<string, string> = {},
  topic = 'sensors/a/climate',
) => ({
  topic,
  headers,
  body: Buffer.from(body),
  isLocal: true,
});

test('204 says that the message is safe, and is not said before', async () => {
  const source = create();
  let release!: () => void;
  const safe = new Promise<void>((resolve) => {
    release = resolve;
  });
  const run = await runSource(source, async () => await safe);
  let answered = false;
  const answer = source.post(posted('{"t":1}')).then((given) => {
    answered = true;
    return given;
  });
  await new Promise(setImmediate);
  expect([run.texts(), answered]).toEqual([['{"t":1}'], false]);
  release();
  expect(await answer).toEqual({ status: 204 });
});

test('what could not be kept is to be sent again later', async () => {
  const source = create();
  await runSource(source, async () => {
    throw new Error('The disk is full.');
  });
  expect(await source.post(posted('1'))).toMatchObject({
    status: 503,
    message: 'The disk is full.',
    retryAfterSeconds: 5,
  });
  await stopRuns();
  expect(await source.post(posted('1'))).toMatchObject({ status: 503 });
});

test('what cannot be read is answered with the reason', async () => {
  const source = create();
  await runSource(source, async ([message]) => message!.onProblem!('It is no JSON.'));
  const { status, message } = await source.post(posted('{'));
  expect([status, message]).toEqual([400, expect.stringMatching(/^It is no JSON\. It is kept/)]);
});

test('without a token only this machine may send; with one, who knows it', async () => {
  const open = create();
  await runSource(open);
  const remote = { ...posted('1'), isLocal: false };
  expect(await open.post(remote)).toMatchObject({
    status: 403,
    message: expect.stringContaining('token'),
  });
  const guarded = create({ token: 's3cret' });
  const run = await runSource(guarded);
  expect(await guarded.post(remote)).toMatchObject({ status: 401 });
  const headers = { authorization: 'Bearer wrong' };
  expect(await guarded.post({ ...remote, headers })).toMatchObject({ status: 401 });
  headers.authorization = 'Bearer s3cret';
  expect(await guarded.post({ ...remote, headers })).toEqual({ status: 204 });
  expect(run.texts()).toEqual(['1']);
});

test.each(['tidegate/status', '$SYS/x', 'a/+', 'a/#', '', 'x'.repeat(2000)])(
  'nothing is taken under %j',
  async (topic) => {
    const source = create();
    const run = await runSource(source);
    const { status } = await source.post(posted('1', {}, topic));
    expect([403, 404]).toContain(status);
    expect(run.messages).toEqual([]);
  },
);

describe('CloudEvents', () => {
  const attributes = { specversion: '1.0', id: '7', source: '/plc/3', type: 'example.measured' };
  const structured = { 'content-type': 'application/cloudevents+json; charset=utf-8' };

  test('structured: data is the payload; id, subject and time are those of the reading', async () => {
    const source = create();
    const run = await runSource(source);
    const event = {
      ...attributes,
      subject: 'gh-07',
      time: '2026-11-20T14:09:00Z',
      data: { temperature: 31.2 },
    };
    for (let times = 0; times < 2; times++) {
      expect(await source.post(posted(JSON.stringify(event), structured))).toEqual({ status: 204 });
    }
    expect(run.texts()).toEqual(['{"temperature":31.2}', '{"temperature":31.2}']);
    const [first, second] = run.messages.map(({ claims }) => claims);
    expect(first).toMatchObject({ device: 'gh-07', at: Date.UTC(2026, 10, 20, 14, 9) });
    expect(first!.id).toBe(second!.id);
  });

  test('binary: attributes are headers, the body is the payload as it is', async () => {
    const source = create();
    const run = await runSource(source);
    const headers = Object.fromEntries(
      Object.entries({ ...attributes, subject: 'k%C3%BChler' }).map(([name, value]) => [
        `ce-${name}`,
        value,
      ]),
    );
    expect(await source.post(posted('21.5', headers))).toEqual({ status: 204 });
    expect(run.texts()).toEqual(['21.5']);
    expect(run.messages[0]!.claims).toMatchObject({ device: 'kühler' });
  });

  test('a batch is several messages; a reading of another gateway keeps what it was', async () => {
    const source = create();
    const run = await runSource(source);
    const reading = toCloudEventsText({
      type: 'reading',
      id: '01JD',
      source: '/gateways/other/broker',
      subject: 'gh-08',
      time: Date.UTC(2026, 0, 1),
      recordedTime: 0,
      data: { measurement: 'climate', tags: { site: 'north' }, fields: { total: 2n ** 63n } },
    });
    const body = `[${JSON.stringify({ ...attributes, data_base64: 'AQI=' })},${reading}]`;
    const headers = { 'content-type': 'application/cloudevents-batch+json' };
    expect(await source.post(posted(body, headers))).toEqual({ status: 204 });
    expect(run.messages.map(({ payload }) => Buffer.from(payload).toString('latin1'))).toEqual([
      '\x01\x02',
      '{"total":9223372036854775808}',
    ]);
    expect(run.messages[1]!.claims).toMatchObject({
      device: 'gh-08',
      measurement: 'climate',
      tags: { site: 'north' },
      at: Date.UTC(2026, 0, 1),
    });
  });

  test.each(['0001-01-01T00:00:00Z', '1970-01-01T00:00:07Z', '+275760-09-13T00:00:00Z'])(
    'the time %s cannot be: that of arrival stands',
    async (time) => {
      const source = create();
      const run = await runSource(source);
      const body = JSON.stringify({ ...attributes, time, data: { x: 1 } });
      expect(await source.post(posted(body, structured))).toEqual({ status: 204 });
      expect(run.messages[0]!.claims).not.toHaveProperty('at');
    },
  );

  const ofGateway = (data: object) =>
    JSON.stringify({
      ...attributes,
      type: 'io.tidegate.reading.v1',
      data: { fields: {}, ...data },
    });
  const deep = `${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`;
  test.each([
    ['a subject of 100,000 characters', { subject: 'x'.repeat(100_000) }, 'more than 256'],
    ['a subject with a NUL', { subject: 'a\0b' }, 'control characters'],
    [
      'data without a bottom',
      JSON.stringify(attributes).replace('}', `,"data":${deep}}`),
      'nested',
    ],
    ['a long measurement', ofGateway({ measurement: 'm'.repeat(300) }), 'more than 256'],
    ['a long tag', ofGateway({ tags: { site: 'm'.repeat(300) } }), 'more than 256'],
    [
      'very many tags',
      ofGateway({ tags: Object.fromEntries(Array.from({ length: 99 }, (_, n) => [`t${n}`, 1])) }),
      'more than 64 tags',
    ],
  ] as const)('%s is refused, and said why', async (_what, given, reason) => {
    const source = create();
    const run = await runSource(source);
    const body = typeof given === 'string' ? given : JSON.stringify({ ...attributes, ...given });
    const { status, message } = await source.post(posted(body, structured));
    expect(status).toBe(400);
    expect(message).toContain(reason);
    expect(run.messages).toEqual([]);
  });

  test.each([
    ['no JSON', '{', structured, 'not JSON'],
    ['no id', JSON.stringify({ ...attributes, id: '' }), structured, 'id must be a text'],
    [
      'another version',
      JSON.stringify({ ...attributes, specversion: '2' }),
      structured,
      'specversion',
    ],
    ['no time', JSON.stringify({ ...attributes, time: 'noon' }), structured, 'RFC 3339'],
    ['an empty body', '', {}, 'empty'],
  ])(
    '%s is refused with the reason, and nothing is recorded',
    async (_name, body, headers, words) => {
      const source = create();
      const run = await runSource(source);
      expect(await source.post(posted(body, headers as Record<string, string>))).toMatchObject({
        status: 400,
        message: expect.stringContaining(words),
      });
      expect(run.messages).toEqual([]);
    },
  );
});
