import { request } from 'node:http';
import { afterEach, expect, test } from 'vitest';
import { type Admin, type Operations, openAdmin } from '../../src/admin/server.ts';
import { GatewayError } from '../../src/platform/errors.ts';
import { silentLogger } from '../../src/platform/logger.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import type { Letter } from '../../src/projection/letters.ts';
import { eventually } from '../services/child.ts';

const open = new Set<Admin>();
afterEach(async () => {
  for (const admin of open) await admin.close();
  open.clear();
});

const letter: Letter = {
  ...{ id: 'rejected.s.1', sink: 's', reason: 'no', attempts: 1, time: 0, state: 'open' },
  ...{ event: '1', device: 'gh-1', type: 't', position: 1 },
};

async function start(host: string, given: Partial<Operations> | undefined) {
  const asked: unknown[] = [];
  const operations: Operations = {
    letters: {
      open: 1,
      forgotten: 0,
      list: (which) => {
        asked.push(which);
        return [letter];
      },
      show: async (id) => (id === letter.id ? { letter, event: { big: 2n ** 60n } } : undefined),
      redrive: async (which) => {
        asked.push(which);
        return { done: [], refused: [] };
      },
      drop: async () => ({ done: [], refused: [] }),
    },
    replay: async () => ({}),
    replays: {
      list: () => [],
      cancel: async (sink) => ({ sink, from: 0, dryRun: false, isResumed: true }),
    },
    ...given,
  };
  const admin = await openAdmin({
    listen: { host, port: 0 },
    metrics: createMetrics(),
    logger: silentLogger,
    health: () => undefined,
    ready: () => true,
    status: () => ({}),
    operations: () => (given === undefined ? undefined : operations),
  });
  open.add(admin);
  return { asked, url: `http://127.0.0.1:${admin.address.port}`, port: admin.address.port, admin };
}

/** What a program sends that may set any header, unlike `fetch`. */
function post(
  port: number,
  headers: Record<string, string>,
  path = '/api/v1/letters/redrive',
): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, method: 'POST', headers }, (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode!));
    });
    sent.once('error', reject);
    sent.end('{"all":true}');
  });
}

test('letters are listed and shown as JSON', async () => {
  const { url, asked } = await start('127.0.0.1', {});
  const list = await (await fetch(`${url}/api/v1/letters?sink=s&state=open`)).json();
  expect(list).toMatchObject({ letters: [{ id: letter.id, time: '1970-01-01T00:00:00.000Z' }] });
  expect(asked).toEqual([{ sink: 's', state: 'open' }]);
  const shown = await (await fetch(`${url}/api/v1/letters/${letter.id}`)).json();
  expect(shown).toMatchObject({ event: { big: '1152921504606846976' } });
  expect((await fetch(`${url}/api/v1/letters/other`)).status).toBe(404);
  expect((await fetch(`${url}/api/v1/letters?state=lost`)).status).toBe(400);
  expect((await fetch(`${url}/api/v1/letters/%`)).status).toBe(404);
});

test.each(['127.0.0.1', '0.0.0.0'])(
  'no page of another site can change anything (listening on %s)',
  async (host) => {
    const { port, asked } = await start(host, {});
    const json = { 'content-type': 'application/json' };
    const here = `127.0.0.1:${port}`;
    expect(await post(port, { 'content-type': 'text/plain' })).toBe(415);
    expect(await post(port, {})).toBe(415);
    expect(await post(port, { ...json, host: 'evil.example' })).toBe(421);
    expect(await post(port, { ...json, origin: 'http://evil.example' })).toBe(403);
    expect(await post(port, { ...json, origin: 'null' })).toBe(403);
    expect(await post(port, { ...json, origin: `https://${here}` })).toBe(403);
    expect(await post(port, { 'content-type': 'text/plain' }, '/api/v1/replay')).toBe(415);
    expect(asked).toEqual([]);
    expect(await post(port, { ...json, host: here, origin: `http://${here}` })).toBe(200);
    expect(asked).toEqual([{}]);
  },
);

test('a body that makes no sense is refused, with what is wrong', async () => {
  const { url } = await start('127.0.0.1', {});
  const send = async (path: string, body: string) => {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${url}${path}`, { method: 'POST', headers, body });
    const { error } = (await response.json()) as { error: { message: string } };
    return `${response.status} ${error.message}`;
  };
  expect(await send('/api/v1/letters/redrive', '{')).toContain('400 The body is not JSON');
  expect(await send('/api/v1/letters/redrive', '{}')).toContain('Name the letters');
  expect(await send('/api/v1/letters/drop', '{"id":"x"}')).toContain('id');
  expect(await send('/api/v1/replay', '{"sink":"s","from":"yesterday"}')).toContain('from');
  const large = JSON.stringify({ ids: ['x'.repeat(2 ** 20)] });
  expect(await send('/api/v1/letters/drop', large)).toMatch(/^413 /);
  expect((await fetch(`${url}/api/v1/replay/cancel`)).status).toBe(405);
  expect(await send('/api/v1/replay/cancel', '{"sink":""}')).toContain('sink');
});

test('before the gateway runs, nothing can be done to it', async () => {
  const { url } = await start('127.0.0.1', undefined);
  const response = await fetch(`${url}/api/v1/letters`);
  expect([response.status, await response.text()]).toEqual([
    503,
    expect.stringContaining('it is starting'),
  ]);
});

const replayInit = {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: '{"sink":"s","from":"2026-01-01T00:00:00Z"}',
};

test('a replay tells how far it is, and how it ends', async () => {
  const { url } = await start('127.0.0.1', {
    replay: async (wish, _signal, onProgress) => {
      onProgress({ ...wish, position: 1 });
      throw new GatewayError('GW_REPLAY_EMPTY', '');
    },
  });
  const response = await fetch(`${url}/api/v1/replay`, replayInit);
  const lines = (await response.text()).trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { state: 'running', sink: 's', from: Date.UTC(2026, 0, 1), position: 1 },
    { state: 'failed', code: 'GW_REPLAY_EMPTY' },
  ]);
});

test('a replay that cannot begin is an error with its status', async () => {
  const { url } = await start('127.0.0.1', {
    replay: async () => {
      throw new GatewayError('GW_REPLAY_RUNNING', 's');
    },
  });
  const response = await fetch(`${url}/api/v1/replay`, replayInit);
  expect(response.status).toBe(409);
  expect(await response.json()).toMatchObject({ error: { code: 'GW_REPLAY_RUNNING' } });
});

test.each(['the reader leaves', 'the gateway stops'])('a replay ends when %s', async (why) => {
  let stopped = false;
  const { url, admin } = await start('127.0.0.1', {
    replay: (_wish, signal, onProgress) => {
      onProgress({});
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          stopped = true;
          reject(signal.reason);
        });
      });
    },
  });
  const leave = new AbortController();
  const response = await fetch(`${url}/api/v1/replay`, { ...replayInit, signal: leave.signal });
  const reader = response.body!.getReader();
  await reader.read();
  if (why === 'the reader leaves') leave.abort();
  else await admin.close();
  await eventually(() => expect(stopped).toBe(true));
});
