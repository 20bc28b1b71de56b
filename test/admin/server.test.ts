import { spawnSync } from 'node:child_process';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterEach, expect, type TestContext, test } from 'vitest';
import { type Admin, type AdminParts, openAdmin } from '../../src/admin/server.ts';
import { createLogger, silentLogger } from '../../src/platform/logger.ts';
import { createMetrics } from '../../src/platform/metrics.ts';

const open = new Set<Admin>();
afterEach(async () => {
  for (const admin of open) await admin.close();
  open.clear();
});

async function start(overrides: Partial<AdminParts> = {}) {
  const admin = await openAdmin({
    listen: { host: '127.0.0.1', port: 0 },
    metrics: createMetrics(),
    logger: silentLogger,
    health: () => undefined,
    ready: () => true,
    status: () => ({}),
    ...overrides,
  });
  open.add(admin);
  return { admin, url: `http://127.0.0.1:${admin.address.port}` };
}

/** Sends bytes as they are and returns all that comes back until the server closes. */
function raw(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    socket.on('data', (chunk) => {
      answer += chunk;
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(answer));
  });
}

test('health is 200 while the log commits and 503 with the reason otherwise', async () => {
  let reason: string | undefined;
  const { url } = await start({ health: () => reason });
  const well = await fetch(`${url}/healthz`);
  expect([well.status, await well.text()]).toEqual([200, 'ok\n']);
  reason = 'The disk is full.';
  const ill = await fetch(`${url}/healthz`);
  expect([ill.status, await ill.text()]).toEqual([503, 'The disk is full.\n']);
});

test('readiness follows the sources', async () => {
  let ready = false;
  const { url } = await start({ ready: () => ready });
  expect((await fetch(`${url}/readyz`)).status).toBe(503);
  ready = true;
  expect((await fetch(`${url}/readyz?verbose`)).status).toBe(200);
});

test('status is JSON, with integers that no double can hold', async () => {
  const { url } = await start({ status: () => ({ version: '1.2.3', value: 2n ** 60n }) });
  const response = await fetch(`${url}/api/v1/status`);
  expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8');
  expect(await response.json()).toEqual({ version: '1.2.3', value: '1152921504606846976' });
});

test('metrics are current and in the Prometheus text format', async () => {
  const metrics = createMetrics();
  const { url } = await start({
    metrics,
    observe: async () => metrics.logPosition.set(42),
  });
  const response = await fetch(`${url}/metrics`);
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(await response.text()).toContain('tidegate_log_position 42\n');
});

function requirePromtool(context: TestContext) {
  if (spawnSync('promtool', ['--version']).error === undefined) return;
  if (process.env.TIDEGATE_REQUIRE_SERVICES === '1') throw new Error('promtool is not installed.');
  console.log('skipped: promtool (package prometheus) is not installed.');
  context.skip();
}

test('promtool finds nothing wrong with the metrics', async (context) => {
  requirePromtool(context);
  const metrics = createMetrics();
  for (const metric of Object.values(metrics)) touch(metric);
  const { url } = await start({ metrics });
  const text = await (await fetch(`${url}/metrics`)).text();
  expect(text).toContain('tidegate_sink_up{sink="a \\"b\\"\\\\c"} 1');
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: text });
  expect(`${stdout}${stderr}`).toBe('');
  expect(status).toBe(0);
});

/** Gives a metric a value under a label that needs escaping. */
function touch(metric: unknown) {
  const { labelNames = [] } = metric as { labelNames?: string[] };
  const labels = Object.fromEntries(labelNames.map((name) => [name, 'a "b"\\c']));
  const { observe, inc } = metric as Record<string, ((...given: unknown[]) => void) | undefined>;
  if (observe !== undefined) observe.call(metric, labels, 0.003);
  else inc?.call(metric, labels, 1);
}

test('HEAD answers like GET, without the body', async () => {
  const { admin } = await start();
  const answer = await raw(
    admin.address.port,
    'HEAD /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
  );
  expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(answer.toLowerCase()).toContain('content-length: 3\r\n');
  expect(answer).toMatch(/\r\n\r\n$/);
});

test('what does not exist is 404, and what may not be done is 405 with what may', async () => {
  const { url } = await start();
  expect((await fetch(`${url}/nothing`)).status).toBe(404);
  expect((await fetch(`${url}/healthz/`)).status).toBe(404);
  expect((await fetch(`${url}/__proto__`)).status).toBe(404);
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
    const response = await fetch(`${url}/healthz`, { method });
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  }
});

test('a body is refused', async () => {
  const { url, admin } = await start();
  expect((await fetch(`${url}/healthz`, { method: 'POST', body: 'x'.repeat(10) })).status).toBe(
    413,
  );
  const chunked = 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n';
  expect(await raw(admin.address.port, chunked)).toMatch(/^HTTP\/1\.1 413 /);
});

test('headers beyond the limit are refused', async () => {
  const { admin } = await start();
  const long = `GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`;
  expect(await raw(admin.address.port, long)).toMatch(/^HTTP\/1\.1 431 /);
});

test('on a loopback address a request for another host is refused, against DNS rebinding', async () => {
  const { admin } = await start();
  const get = (host: string) =>
    raw(
      admin.address.port,
      `GET /api/v1/status HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
    );
  for (const host of [
    'evil.example',
    '127.0.0.1.evil.example',
    '10.0.0.1:8080',
    'localhost.evil',
  ]) {
    expect(await get(host), host).toMatch(/^HTTP\/1\.1 421 /);
  }
  for (const host of ['localhost', 'LOCALHOST:8080', '127.0.0.1:8080', '[::1]:8080', '127.0.0.1']) {
    expect(await get(host), host).toMatch(/^HTTP\/1\.1 200 /);
  }
});

test('on every address any host may be asked for', async () => {
  const { admin } = await start({ listen: { host: '0.0.0.0', port: 0 } });
  const request = 'GET /healthz HTTP/1.1\r\nHost: gateway.lan\r\nConnection: close\r\n\r\n';
  expect(await raw(admin.address.port, request)).toMatch(/^HTTP\/1\.1 200 /);
});

test('a page that cannot be made is 500, said in the log, and the server goes on', async () => {
  const lines: string[] = [];
  const { url } = await start({
    logger: createLogger({ destination: { write: (line) => lines.push(line) } }),
    status: () => {
      throw new Error('the secret inside');
    },
  });
  const response = await fetch(`${url}/api/v1/status`);
  expect(response.status).toBe(500);
  expect(await response.text()).not.toContain('inside');
  expect(lines.join('')).toContain('An admin page could not be made.');
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
});

test('a port in use, a forbidden one and an address that is not ours are told apart', async () => {
  const { admin } = await start();
  const again = start({ listen: { host: '127.0.0.1', port: admin.address.port } });
  await expect(again).rejects.toMatchObject({ code: 'GW_LISTEN_IN_USE' });
  await expect(again).rejects.toThrow(`127.0.0.1:${admin.address.port} (admin)`);
  await expect(start({ listen: { host: '192.0.2.1', port: 0 } })).rejects.toMatchObject({
    code: 'GW_LISTEN_FAILED',
  });
});

test('it listens on IPv6 and says where', async (context) => {
  const has = Object.values(networkInterfaces()).flat();
  if (!has.some((each) => each?.address === '::1')) {
    console.log('skipped: this machine has no IPv6 loopback.');
    context.skip();
  }
  const { admin } = await start({ listen: { host: '::1', port: 0 } });
  expect((await fetch(`http://[::1]:${admin.address.port}/healthz`)).status).toBe(200);
});

test('closing gives a request that is being answered its answer, and waits for nobody', async () => {
  let release!: () => void;
  let asked!: () => void;
  const wasAsked = new Promise<void>((resolve) => {
    asked = resolve;
  });
  const { admin, url } = await start({
    observe: () => {
      asked();
      return new Promise((resolve) => {
        release = resolve;
      });
    },
  });
  const idle = raw(admin.address.port, 'GET /healthz HTTP/1.1\r\n');
  const answer = fetch(`${url}/metrics`).then((response) => response.text());
  await wasAsked;
  const closed = admin.close();
  release();
  expect(await answer).toContain('tidegate_log_bytes');
  await closed;
  await admin.close();
  expect(await idle).toBe('');
  await expect(fetch(`${url}/healthz`)).rejects.toThrow();
});
