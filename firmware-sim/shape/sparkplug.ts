import type { Document } from '../src/codec/codec.ts';
import { payloadOf } from '../src/codec/sparkplug-document.ts';
import type { Fields } from './behaviour/behaviour.ts';
import type { Device, DeviceMessage, Profile } from './device.ts';

/** A birth is said again after so many moments: whoever missed it need not ask. */
const momentsPerBirth = 60;

/**
 * A Sparkplug B edge node that measures what the device of that number would: a birth with names and
 * aliases first, then data by alias. What it sends depends on the moment alone, as with any device,
 * so it is born again now and then instead of hearing whether it is asked to be.
 */
export function createEdgeNode(profile: Profile, index: number, boot: number): Device {
  const id = profile.deviceOf(index);
  const behaviour = profile.behaviourOf(index);
  return {
    id,
    messagesAt(moment) {
      const { seq, time } = moment;
      const place = (seq - 1) % momentsPerBirth;
      const isBirth = place === 0;
      const topic = `spBv1.0/${profile.name}/${isBirth ? 'NBIRTH' : 'NDATA'}/${id}`;
      return behaviour([{ fields: {} }], moment).map(({ fields, garbage }): DeviceMessage => {
        const metrics = metricsOf(fields, time, isBirth);
        if (isBirth) metrics.push({ name: 'bdSeq', datatype: 'UInt64', value: boot % 256 });
        return {
          ...{ index, device: id, topic, boot, seq, time },
          fields: garbage === undefined ? fields : undefined,
          payload: garbage ?? payloadOf({ timestamp: time, seq: place, metrics }),
        };
      });
    },
  };
}

/** Aliases count the fields in their order, which is the same at every moment. */
function metricsOf(fields: Fields, timestamp: number, isBirth: boolean): Document[] {
  return Object.entries(fields).map(([name, value], alias) => {
    const datatype =
      typeof value === 'number' ? 'Double' : typeof value === 'boolean' ? 'Boolean' : 'String';
    const metric = { alias, timestamp, datatype, value };
    return isBirth ? { name, ...metric } : metric;
  });
}
