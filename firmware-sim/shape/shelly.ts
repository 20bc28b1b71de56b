import { compose } from '../behaviour/behaviour.ts';
import { counter } from '../behaviour/counter.ts';
import { steady } from '../behaviour/steady.ts';
import { jsonPacket, macOf, type Shape, textPacket } from './shape.ts';

const power = compose(
  steady({ fields: { energy: 1_200 } }),
  counter('energy', 60),
  steady({ fields: { power: 58, temperature: 31 }, noise: 2, decimals: 1 }),
);

/** Shelly plugs of the first generation: a topic for every value. Energy is in watt minutes. */
export const shelly1: Shape = {
  name: 'shelly1',
  deviceOf: (index) => `shellyplug-s-${macOf('c8c9a3', index).slice(-6)}`,
  behaviourOf: () => power,
  packetsOf: (device, { fields }) => [
    textPacket(`shellies/${device}/relay/0`, 'on'),
    textPacket(`shellies/${device}/relay/0/power`, `${fields.power}`),
    textPacket(`shellies/${device}/relay/0/energy`, `${Math.round(Number(fields.energy))}`),
    textPacket(`shellies/${device}/temperature`, `${fields.temperature}`),
  ],
  helloOf: (device) => [textPacket(`shellies/${device}/online`, 'true', true)],
  willOf: (device) => textPacket(`shellies/${device}/online`, 'false', true),
};

/** Shelly plugs of later generations: the status of the switch as one document. */
export const shelly2: Shape = {
  name: 'shelly2',
  deviceOf: (index) => `shellyplusplugs-${macOf('b0b21c', index).toLowerCase()}`,
  behaviourOf: () => power,
  packetsOf: (device, { fields }) => [
    jsonPacket(`${device}/status/switch:0`, {
      ...{ id: 0, source: 'init', output: true, apower: fields.power, voltage: 230.4 },
      current: 0.25,
      aenergy: { total: fields.energy },
      temperature: { tC: fields.temperature },
    }),
  ],
  helloOf: (device) => [textPacket(`${device}/online`, 'true', true)],
  willOf: (device) => textPacket(`${device}/online`, 'false', true),
};
