import { expect, test } from 'vitest';
import { sinkKinds } from '../../src/sink/index.ts';
import { available } from '../services/child.ts';
import { startInfluxDb } from '../services/influxdb.ts';
import { endless, sinkOf, sinkParts } from './parts.ts';

test.skipIf(!available('influxd'))(
  'both lanes of a sink find the database missing, and it is created once',
  async () => {
    const influx = await startInfluxDb();
    try {
      for (let time = 0; time < 5; time++) {
        const parts = sinkParts();
        const given = { url: influx.url, database: `both${time}` };
        const sink = sinkOf(sinkKinds.influxdb, given, parts);
        const lanes = await Promise.all([sink.connect(endless), sink.connect(endless)]);
        for (const lane of lanes) await lane.close();
        const said = parts.log.map(({ message }) => message);
        expect(said).toEqual(['Created the database in InfluxDB.']);
      }
    } finally {
      await influx.stop();
    }
  },
  30_000,
);
