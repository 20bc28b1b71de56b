import { expect, test } from 'vitest';
import { readAll } from '../log/opened.ts';
import { IngestWorld } from './ingest-world.ts';

test('what a device kept while it was away is marked historical, what it says of now is not', async () => {
  const world = await IngestWorld.open([
    { topic: '{device}/{measurement}', time: { path: 'ts' }, historicalAfter: '10m' },
  ]);
  const now = world.clock.now();
  const readings = [0, 9, 11, 60].map((minutes) => ({ ts: now - minutes * 60_000, t: minutes }));
  const payload = Buffer.from(JSON.stringify(readings));
  await world.ingest([{ topic: 'gh-07/climate', payload, receivedAt: now }]);
  const seen = (await readAll(world.log)).map(({ data, extensions }) => [
    (data as unknown as { fields: { t: number } }).fields.t,
    extensions?.historical,
  ]);
  expect(seen).toEqual([
    [0, undefined],
    [9, undefined],
    [11, 'true'],
    [60, 'true'],
  ]);
});
