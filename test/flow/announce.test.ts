import { expect, test } from 'vitest';
import { createAnnouncer } from '../../src/flow/announce.ts';
import type { Entry } from '../../src/log/log.ts';
import { createMetrics } from '../../src/platform/metrics.ts';

function alertOf(incident: string, state: 'firing' | 'resolved', device = 'gh-01'): Entry {
  return {
    position: 1,
    id: `${incident}.${state}`,
    type: 'alert',
    source: '/gateways/g/rules/hot',
    subject: device,
    time: 1_795_183_740_000,
    recordedTime: 1_795_183_740_000,
    boot: 'b',
    monotonic: 1,
    clock: 'synchronised',
    extensions: { correlationid: incident },
    data: {
      rule: 'hot',
      state,
      incident,
      severity: 'warning',
      value: 9_007_199_254_740_993n,
      since: '2026-11-20T14:09:00.000Z',
      summary: incident,
    },
  } as unknown as Entry;
}

function open() {
  const retained = new Map<string, string>();
  const metrics = createMetrics();
  const announcer = createAnnouncer((topic, payload) => void retained.set(topic, payload), metrics);
  const firing = async (): Promise<number> => (await metrics.alertsFiring.get()).values[0]!.value;
  return { announcer, retained, firing };
}
const topic = 'tidegate/alerts/hot/gh-01';

test('while one of two incidents of a device still fires, its topic says so', async () => {
  const { announcer, retained, firing } = open();
  announcer.step(alertOf('climate', 'firing'));
  announcer.step(alertOf('soil', 'firing'));
  expect(await firing()).toBe(2);
  announcer.step(alertOf('climate', 'resolved'));
  expect(await firing()).toBe(1);
  expect(retained.get(topic)).toContain('"incident":"soil"');
  expect(retained.get(topic)).toContain('"state":"firing"');
  announcer.step(alertOf('soil', 'resolved'));
  expect(await firing()).toBe(0);
  expect(retained.get(topic)).toContain('"state":"resolved"');
});

test('what it remembers is said again by the next process, and counted once', async () => {
  const before = open();
  before.announcer.step(alertOf('climate', 'firing'));
  before.announcer.step(alertOf('soil', 'firing'));
  before.announcer.step(alertOf('other', 'resolved', 'gh-02'));
  const after = open();
  after.announcer.restore(JSON.parse(JSON.stringify(before.announcer.snapshot())));
  expect(after.retained).toEqual(before.retained);
  expect(await after.firing()).toBe(2);
});

test('alerts of a rule that is gone are found, those of the others are not', () => {
  const { announcer } = open();
  announcer.step(alertOf('climate', 'firing'));
  expect(announcer.orphans(new Set(['hot']))).toEqual([]);
  const [orphan] = announcer.orphans(new Set(['cold']));
  expect(JSON.parse(orphan!).data.incident).toBe('climate');
});

test('a device name that no topic may hold is made one', () => {
  const { announcer, retained } = open();
  announcer.step(alertOf('climate', 'firing', 'a+b#c'));
  expect([...retained.keys()]).toEqual(['tidegate/alerts/hot/a_b_c']);
});
