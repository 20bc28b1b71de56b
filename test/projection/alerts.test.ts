import { expect, test } from 'vitest';
import type { CloudEvent, Severity } from '../../src/event/event.ts';
import { createAlerts } from '../../src/projection/alerts.ts';
import { reading } from '../rule/events.ts';

function alert(incident: string, state: 'firing' | 'resolved', severity: Severity = 'warning') {
  return {
    ...{ type: 'alert', id: `${incident}.${state}`, source: '/r', subject: 'a', time: 5 },
    recordedTime: 5,
    data: {
      ...{ rule: 'hot', state, incident, severity, value: 31n, threshold: 30 },
      ...{ since: '2026-11-20T12:00:00.000Z', summary: 'hot' },
    },
  } as CloudEvent<'alert'>;
}

test('alerts are firing from their firing to their resolve, whatever is repeated', () => {
  const alerts = createAlerts();
  for (const incident of ['1', '2', '1']) alerts.step(alert(incident, 'firing'));
  alerts.step(alert('3', 'firing', 'critical'));
  for (const incident of ['2', '2', '9']) alerts.step(alert(incident, 'resolved'));
  alerts.step(reading('a', { t: 1 }));
  expect(alerts.firing()).toMatchObject([
    { incident: '1', device: 'a', rule: 'hot', value: '31', threshold: 30 },
    { incident: '3', severity: 'critical' },
  ]);
  expect(alerts.countBySeverity).toEqual({ info: 0, warning: 1, error: 0, critical: 1 });
  const restored = createAlerts();
  restored.restore(JSON.parse(JSON.stringify(alerts.snapshot())));
  expect(restored.firing()).toEqual(alerts.firing());
  expect(restored.countBySeverity).toEqual(alerts.countBySeverity);
});

test('firing alerts are bounded, and those that were forgotten are counted', () => {
  const alerts = createAlerts(2);
  for (const incident of ['1', '2', '3']) alerts.step(alert(incident, 'firing'));
  expect(alerts.firing().map(({ incident }) => incident)).toEqual(['2', '3']);
  expect([alerts.countBySeverity.warning, alerts.forgotten]).toEqual([2, 1]);
});

test.each([null, 1, 'x', [], {}, { version: 1 }, { version: 1, forgotten: 0, alerts: [{}] }])(
  'the unknown state %j is forgotten',
  (state) => {
    const alerts = createAlerts();
    alerts.step(alert('1', 'firing'));
    alerts.restore(state);
    expect(alerts.firing()).toEqual([]);
    expect(alerts.countBySeverity.warning).toBe(0);
  },
);
