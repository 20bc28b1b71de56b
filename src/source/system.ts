import { z } from 'zod';
import { duration } from '../kind/kind.ts';
import { openMachine } from '../platform/machine.ts';
import type { SourceKind } from './source-kind.ts';

export const systemOptions = z.strictObject({
  every: duration
    .refine((ms) => ms >= 1_000, 'must be at least 1s')
    .prefault('60s')
    .describe('How often the machine is asked.'),
});

/** The machine the gateway runs on: temperature, throttling, load, memory, disk, uptime. */
export const systemKind: SourceKind<typeof systemOptions> = {
  options: systemOptions,
  mapping: ({ name, gateway }) => ({
    topic: name,
    device: gateway,
    measurement: 'system',
    codec: 'json',
  }),
  create: ({ every }, { name, clock, dataFolder }) => ({
    name,
    async run(ingest, signal, opened) {
      const ask = openMachine(dataFolder);
      opened();
      try {
        for (;;) {
          const payload = Buffer.from(JSON.stringify(await ask()));
          await ingest([{ topic: name, payload, receivedAt: clock.now() }]);
          await clock.sleep(every, signal);
        }
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    },
  }),
};
