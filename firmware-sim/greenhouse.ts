import { battery } from './behaviour/battery.ts';
import { type Behaviour, compose } from './behaviour/behaviour.ts';
import { diurnal } from './behaviour/diurnal.ts';
import { overheat } from './behaviour/overheat.ts';
import { steady } from './behaviour/steady.ts';
import type { Profile } from './device.ts';

/** One vent in this many sticks now and then, the third first, so that there is something to see. */
const sticky = { among: 25, first: 2 } as const;

/**
 * Climate sensors in a greenhouse. Every device reports temperature (about 22 to 26 °C over the
 * day), humidity, which falls as the temperature rises, and its battery. In the first minute the
 * third device is above 30 °C for about 20 seconds, and again every minute.
 */
export const greenhouse: Profile = {
  name: 'greenhouse',
  deviceOf: (index) => `gh-${String(index + 1).padStart(2, '0')}`,
  topicOf: (device) => `sensors/${device}/climate`,
  behaviourOf: (index) => {
    const climate = compose(
      steady({ fields: { temperature: 24, humidity: 60, battery: 0 }, noise: 0.15 }),
      diurnal({ field: 'temperature', swing: 1.8 }),
      diurnal({ field: 'humidity', swing: -12 }),
      battery('battery', 0.4),
    );
    return index % sticky.among === sticky.first ? compose(climate, stickyVent(index)) : climate;
  },
};

function stickyVent(index: number): Behaviour {
  const times = { everyMs: 60_000, lastsMs: 18_000, rampMs: 4_000 };
  const afterMs = 3_000 + ((Math.floor(index / sticky.among) * 7_000) % times.everyMs);
  return compose(
    overheat({ ...times, afterMs, field: 'temperature', peak: 32 }),
    overheat({ ...times, afterMs, field: 'humidity', peak: 38 }),
  );
}
