import { afterEach, expect, test } from 'vitest';
import type { Post } from '../../src/admin/ingest.ts';
import { type Admin, openAdmin } from '../../src/admin/server.ts';
import { silentLogger } from '../../src/platform/logger.ts';
import { createMetrics } from '../../src/platform/metrics.ts';

const open = new Set<Admin>();
afterEach(async () => {
  for (const admin of open) await admin.close();
  open.clear();
});

async function start(post: Post) {
  const admin = await openAdmin({
    listen: { host: '127.0.0.1', port: 0 },
    ...{ metrics: createMetrics(), logger: silentLogger },
    ...{ health: () => undefined, ready: () => true, status: () => ({}), post },
  });
  open.add(admin);
  return `http://127.0.0.1:${admin.address.port}`;
}

test('the topic is what stands behind /ingest/, decoded; the body comes as it is', async () => {
  const posts: Parameters<Post>[0][] = [];
  const url = await start(async (message) => {
    posts.push(message);
    return { status: 204 };
  });
  const body = Uint8Array.of(0, 255, 10);
  const answer = await fetch(`${url}/ingest/sensors/k%C3%BChler%201/climate?x=1`, {
    method: 'POST',
    body,
  });
  expect([answer.status, await answer.text()]).toEqual([204, '']);
  expect(posts).toMatchObject([{ topic: 'sensors/kühler 1/climate', isLocal: true }]);
  expect(posts[0]!.body).toEqual(Buffer.from(body));
});

test('a refusal says why, and when to come again', async () => {
  const url = await start(async () => ({ status: 503, message: 'Full.', retryAfterSeconds: 5 }));
  const answer = await fetch(`${url}/ingest/a`, { method: 'POST', body: '1' });
  expect([answer.status, answer.headers.get('retry-after'), await answer.json()]).toEqual([
    503,
    '5',
    { error: { code: 'GW_INGEST_REFUSED', message: 'Full.' } },
  ]);
});

test('a body beyond 1 MiB is not read on, and pages of other sites send nothing', async () => {
  let posted = 0;
  const url = await start(async () => {
    posted += 1;
    return { status: 204 };
  });
  const large = await fetch(`${url}/ingest/a`, { method: 'POST', body: Buffer.alloc(2 ** 20 + 1) });
  expect(large.status).toBe(413);
  const headers = { origin: 'https://example.com' };
  const foreign = await fetch(`${url}/ingest/a`, { method: 'POST', body: '1', headers });
  expect(foreign.status).toBe(403);
  expect(posted).toBe(0);
  expect((await fetch(`${url}/ingest/a`)).status).toBe(404);
});
