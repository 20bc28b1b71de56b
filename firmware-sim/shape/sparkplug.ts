import type { Document } from '../../src/codec/codec.ts';
import { payloadOf } from '../../src/codec/sparkplug-document.ts';
import type { Fields } from '../behaviour/behaviour.ts';
import { compose } from '../behaviour/behaviour.ts';
import { counter } from '../behaviour/counter.ts';
import { steady } from '../behaviour/steady.ts';
import { numbered, type Shape } from './shape.ts';

/** A birth is said again after so many moments: whoever missed it need not ask. */
const momentsPerBirth = 60;

/**
 * Sparkplug B edge nodes, at a press: a birth with names and aliases first, then data by alias. What
 * a node sends depends on the moment alone, as with any device, so it is born again now and then
 * instead of hearing whether it is asked to be.
 */
export const sparkplug: Shape = {
  name: 'sparkplug',
  deviceOf: (index) => numbered('press', index),
  behaviourOf: () =>
    compose(
      steady({ fields: { 'Motor/RPM': 1_480, 'Motor/Temperature': 61, Running: true }, noise: 2 }),
      counter('Parts', 3_600),
    ),
  packetsOf(device, { at, time, fields }, boot) {
    const place = (at.seq - 1) % momentsPerBirth;
    const isBirth = place === 0;
    const metrics = metricsOf(fields, time, isBirth);
    if (isBirth) metrics.push({ name: 'bdSeq', datatype: 'UInt64', value: boot % 256 });
    const topic = `spBv1.0/plant/${isBirth ? 'NBIRTH' : 'NDATA'}/${device}`;
    return [{ topic, payload: payloadOf({ timestamp: time, seq: place, metrics }) }];
  },
};

/** Aliases count the fields in their order, which is the same at every moment. */
function metricsOf(fields: Fields, timestamp: number, isBirth: boolean): Document[] {
  return Object.entries(fields).map(([name, value], alias) => {
    const datatype =
      typeof value === 'number' ? 'Double' : typeof value === 'boolean' ? 'Boolean' : 'String';
    const metric = { alias, timestamp, datatype, value };
    return isBirth ? { name, ...metric } : metric;
  });
}
