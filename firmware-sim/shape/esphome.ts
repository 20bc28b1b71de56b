import { compose } from '../behaviour/behaviour.ts';
import { steady } from '../behaviour/steady.ts';
import { numbered, type Shape, textPacket } from './shape.ts';

/** ESPHome nodes: a topic for every sensor, a bare value in each. */
export const esphome: Shape = {
  name: 'esphome',
  deviceOf: (index) => numbered('cellar', index),
  behaviourOf: () =>
    compose(
      steady({ fields: { temperature: 14.2, humidity: 71 }, noise: 0.3, decimals: 1 }),
      steady({ fields: { door: false } }),
    ),
  packetsOf: (device, { fields }) =>
    Object.entries(fields).map(([name, value]) =>
      typeof value === 'boolean'
        ? textPacket(`${device}/binary_sensor/${name}/state`, value ? 'ON' : 'OFF')
        : textPacket(`${device}/sensor/${name}/state`, `${value}`),
    ),
  helloOf: (device) => [textPacket(`${device}/status`, 'online', true)],
  willOf: (device) => textPacket(`${device}/status`, 'offline', true),
};
