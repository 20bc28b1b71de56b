import { jsonCodec } from '../../src/codec/json.ts';
import { adjust, type Behaviour, characterOf, compose } from '../behaviour/behaviour.ts';
import { diurnal } from '../behaviour/diurnal.ts';
import { overheat } from '../behaviour/overheat.ts';
import { rounded, steady } from '../behaviour/steady.ts';
import { documentOf } from './document.ts';
import { jsonPacket, numbered, type Shape } from './shape.ts';

/** One vent in this many sticks now and then, the third first, so that there is something to see. */
const sticky = { among: 25, first: 2 } as const;

/** Temperature (about 22 to 26 °C over the day), humidity, which falls as it rises, and a battery. */
export const climate: Behaviour = compose(
  steady({ fields: { temperature: 24, humidity: 60, battery: 0 }, noise: 0.15 }),
  diurnal({ field: 'temperature', swing: 1.8 }),
  diurnal({ field: 'humidity', swing: -12 }),
  battery('battery', 0.4),
);

/**
 * Climate sensors in a greenhouse, in JSON. In the first minute the third device is above 30 °C for
 * about 20 seconds, and again every minute.
 */
export const greenhouse: Shape = {
  name: 'greenhouse',
  deviceOf: (index) => numbered('gh', index),
  behaviourOf: (index) =>
    index % sticky.among === sticky.first ? compose(climate, stickyVent(index)) : climate,
  packetsOf: (device, sent, boot) => [
    { topic: `sensors/${device}/climate`, payload: jsonCodec.encode(documentOf(sent, boot)) },
  ],
};

/** The same, as cheap sensors say it: the values, and neither time nor number. */
export const plainClimate: Shape = {
  ...greenhouse,
  name: 'climate',
  packetsOf: (device, { fields }) => [jsonPacket(`sensors/${device}/climate`, fields)],
};

/** A battery, in percent: each device starts somewhere between 70 and 100 and falls, never below 0. */
function battery(field: string, perHour: number): Behaviour {
  return adjust(field, (_, moment) => {
    const full = 70 + 30 * characterOf(moment, 7);
    return rounded(Math.max(0, full - (perHour * moment.elapsedMs) / 3_600_000), 1);
  });
}

function stickyVent(index: number): Behaviour {
  const times = { everyMs: 60_000, lastsMs: 18_000, rampMs: 4_000 };
  const afterMs = 3_000 + ((Math.floor(index / sticky.among) * 7_000) % times.everyMs);
  return compose(
    overheat({ ...times, afterMs, field: 'temperature', peak: 32 }),
    overheat({ ...times, afterMs, field: 'humidity', peak: 38 }),
  );
}
