import { expect, test } from 'vitest';
import { ingestMappingOptions } from '../../src/codec/mapping-options.ts';
import { createMapper } from '../../src/flow/mapping.ts';
import { SimClock } from '../sim/clock.ts';

test('topics that come once do not push out of memory what comes again and again', () => {
  const mappings = [ingestMappingOptions.parse({ topic: 'sensors/{device}/#', codec: 'json' })];
  const parts = { source: '/s', clock: new SimClock(), onRefusedTime: () => {} };
  const routeOf = createMapper(mappings, parts);
  routeOf('sensors/regular/climate');
  const route = routeOf('sensors/regular/climate');
  expect(route).toBeDefined();
  for (let index = 0; index < 50_000; index++) routeOf(`sensors/once-${index}/climate`);
  expect(routeOf('sensors/regular/climate')).toBe(route);
});
