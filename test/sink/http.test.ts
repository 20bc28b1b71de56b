import { readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fromCloudEventsBatch } from '../../src/event/cloudevents-json.ts';
import { openSecrets } from '../../src/platform/secrets.ts';
import { createSystemClock } from '../../src/platform/system-clock.ts';
import { idempotencyKeyOf } from '../../src/sink/http.ts';
import { openHttpClient } from '../../src/sink/http-client.ts';
import { sinkKinds } from '../../src/sink/index.ts';
import { readingsOf } from '../event/events.ts';
import { available, eventually, temporaryFolder } from '../services/child.ts';
import { makeCertificates } from '../services/mosquitto.ts';
import { type HttpReceiver, startHttpReceiver } from './http-receiver.ts';
import { endless, failureOf, sinkOf, sinkParts, withConnection } from './parts.ts';

let receiver: HttpReceiver;
beforeEach(async () => {
  receiver = await startHttpReceiver();
});
afterEach(async () => await receiver.gone());

const sinkTo = (options: object = {}) =>
  sinkOf(sinkKinds.http, { url: `${receiver.url}/hook?key=1`, ...options });
const deliver = async (options: object, count: number) =>
  await withConnection(sinkTo(options), async (c) => await c.deliver(readingsOf(count), endless));

test('a batch is posted as CloudEvents say, on a connection that is kept', async () => {
  await withConnection(sinkTo(), async (connection) => {
    for (const event of readingsOf(5)) await connection.deliver([event], endless);
  });
  expect(receiver.requests).toHaveLength(5);
  expect(receiver.connections).toBe(1);
  const { url, headers, text } = receiver.requests[0]!;
  expect(url).toBe('/hook?key=1');
  expect(headers['content-type']).toBe('application/cloudevents-batch+json; charset=utf-8');
  expect(fromCloudEventsBatch(text)).toEqual(readingsOf(1));
});

test('the key of a batch is the same on every attempt, and another for other events', async () => {
  receiver.answer = () => ({ status: 500 });
  for (let attempt = 0; attempt < 2; attempt++) await failureOf(deliver({}, 3));
  await failureOf(deliver({}, 2));
  const [first, second, other] = receiver.requests.map(({ headers }) => headers['idempotency-key']);
  expect(first).toMatch(/^[0-9a-f]{32}$/);
  expect(second).toBe(first);
  expect(other).not.toBe(first);
  const [a, b] = readingsOf(2);
  expect(idempotencyKeyOf([a!, b!])).not.toBe(
    idempotencyKeyOf([{ ...a!, id: `${a!.id}","${b!.id}` }]),
  );
});

test('headers may be secrets, and are read anew for each connection', async () => {
  const folder = await temporaryFolder('secret');
  await writeFile(join(folder, 'token'), 'Bearer one\n');
  const parts = sinkParts({ secrets: openSecrets(folder) });
  const options = { url: receiver.url, headers: { Authorization: { file: 'token' }, 'x-a': 'b' } };
  const sink = sinkOf(sinkKinds.http, options, parts);
  await withConnection(sink, async (c) => void (await c.deliver(readingsOf(1), endless)));
  await writeFile(join(folder, 'token'), 'Bearer two');
  await withConnection(sink, async (c) => void (await c.deliver(readingsOf(1), endless)));
  expect(receiver.requests.map(({ headers }) => [headers.authorization, headers['x-a']])).toEqual([
    ['Bearer one', 'b'],
    ['Bearer two', 'b'],
  ]);
  await writeFile(join(folder, 'token'), 'Bearer\r\nx: y');
  expect((await failureOf(sink.connect(endless))).message).toContain('the header Authorization');
  await rm(folder, { recursive: true });
});

test('compressed batches arrive whole', async () => {
  expect(await deliver({ gzip: true }, 300)).toEqual([]);
  expect(receiver.requests[0]?.headers['content-encoding']).toBe('gzip');
  expect(fromCloudEventsBatch(receiver.requests[0]!.text)).toEqual(readingsOf(300));
});

test('what is too large together is sent in halves, and alone it is rejected', async () => {
  const taken: string[] = [];
  receiver.answer = ({ text }) => {
    const ids = fromCloudEventsBatch(text).map(({ id }) => id);
    if (ids.length > 3 || ids.includes('r-7')) return { status: 413, text: 'Too large!' };
    taken.push(...ids);
    return { status: 200 };
  };
  const rejections = await deliver({}, 20);
  expect(rejections).toEqual([
    { event: readingsOf(20)[7], reason: `${new URL(receiver.url).host} answers 413: Too large!` },
  ]);
  expect(taken).toEqual(
    readingsOf(20)
      .map(({ id }) => id)
      .filter((id) => id !== 'r-7'),
  );
});

test('the reason holds the first 200 characters of the answer', async () => {
  receiver.answer = () => ({ status: 400, text: 'x'.repeat(5_000) });
  const [rejection] = await deliver({}, 1);
  expect(rejection?.reason).toMatch(/answers 400: x{200}$/);
});

describe('an answer about the place rejects nothing', () => {
  test.each([401, 403, 404, 405, 407, 410, 415])('%d', async (status) => {
    receiver.answer = () => ({ status });
    const error = await failureOf(deliver({}, 3));
    expect(error).toMatchObject({ code: 'GW_SINK_REFUSED' });
    expect(receiver.requests).toHaveLength(1);
  });

  test.each([408, 425, 429, 500, 502, 503, 504])('%d is worth another try', async (status) => {
    receiver.answer = () => ({ status });
    expect(await failureOf(deliver({}, 3))).toMatchObject({ code: 'GW_SINK_UNAVAILABLE' });
  });

  test('a redirect is explained and not followed', async () => {
    receiver.answer = () => ({ status: 308, headers: { location: '/elsewhere' } });
    const error = await failureOf(deliver({}, 1));
    expect(error.message).toContain('points to /elsewhere. Redirects are not followed');
    expect(receiver.requests).toHaveLength(1);
  });
});

describe('a server that says when to come back is heard', () => {
  const date = 'Fri, 20 Nov 2026 10:00:00 GMT';
  test.each([
    ['seconds', { 'retry-after': '120' }, 120_000],
    ['a date, by its own clock', { date, 'retry-after': 'Fri, 20 Nov 2026 10:00:30 GMT' }, 30_000],
    ['a date that is past', { date, 'retry-after': 'Fri, 20 Nov 2026 09:00:00 GMT' }, 0],
    ['longer than an hour', { 'retry-after': '86400' }, 3_600_000],
  ])('%s', async (_, headers, afterMs) => {
    receiver.answer = () => ({ status: 503, headers });
    expect(await failureOf(deliver({}, 1))).toMatchObject({ name: 'RetryLater', afterMs });
  });

  test('in words that mean nothing it is an error like others', async () => {
    receiver.answer = () => ({ status: 429, headers: { 'retry-after': 'soon' } });
    expect(await failureOf(deliver({}, 1))).toMatchObject({ code: 'GW_SINK_UNAVAILABLE' });
  });
});

test('whoever still sends on a connection that is closed learns it, and nothing is left open', async () => {
  receiver.isHanging = true;
  const { url } = receiver;
  const client = openHttpClient({ url, tls: {}, timeoutMs: 60_000, clock: createSystemClock() });
  const send = () => client.send('POST', new URL(url), {}, Buffer.from('x'), endless);
  // The second waits for the connection of the first.
  const underWay = [failureOf(send()), failureOf(send())];
  await eventually(() => expect(receiver.connections).toBe(1));
  client.close();
  for (const each of [...underWay, failureOf(send())]) {
    expect(await each).toMatchObject({ code: 'GW_SINK_UNAVAILABLE' });
  }
  expect(receiver.connections).toBe(1);
  client.close();
});

test('a server that answers nothing in time is given up', async () => {
  const connection = await sinkTo({ timeout: '100ms' }).connect(endless);
  receiver.isHanging = true;
  const error = await failureOf(connection.deliver(readingsOf(1), endless));
  expect(error.message).toContain('no answer within 100 ms');
  await connection.close();
});

describe.skipIf(!available('openssl'))('over TLS', () => {
  test('only a server that the given authority signed is trusted', async () => {
    const folder = await temporaryFolder('tls');
    await makeCertificates(folder);
    const read = async (name: string) => await readFile(join(folder, name));
    const server = createServer(
      {
        key: await read('server.key'),
        cert: await read('server.crt'),
        ca: await read('ca.crt'),
        requestCert: true,
      },
      (request, response) => void request.resume().on('end', () => response.writeHead(204).end()),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const parts = sinkParts({ secrets: openSecrets(folder) });
    const tls = { ca: 'ca.crt', cert: 'client.crt', key: { file: 'client.key' } };
    await withConnection(sinkOf(sinkKinds.http, { url, tls }, parts), async (c) => {
      expect(await c.deliver(readingsOf(2), endless)).toEqual([]);
    });
    const error = await failureOf(sinkOf(sinkKinds.http, { url }, parts).connect(endless));
    expect(error.message).toMatch(/certificate|CERT|issuer/);
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await rm(folder, { recursive: true });
  });
});

test.each([
  [{ headers: { 'Content-Type': 'text/plain' } }, 'is set by the sink itself'],
  [{ headers: { 'a b': 'x' } }, 'must be the name of a header'],
  [{ url: 'ftp://host/' }, 'must be an address such as https://host:port/path'],
  [{ url: 'http://me:secret@host/' }, 'must not hold a user name or password'],
])('options that cannot work are refused: %j', (options, message) => {
  const parsed = sinkKinds.http.options.safeParse({ url: 'http://host/', ...options });
  expect(JSON.stringify(parsed.error?.issues)).toContain(message);
});
