import { climate } from './greenhouse.ts';
import { numbered, type Shape, textPacket } from './shape.ts';

/** Homie devices: a topic for every property. */
export const homie: Shape = {
  name: 'homie',
  deviceOf: (index) => numbered('attic', index),
  behaviourOf: () => climate,
  packetsOf: (device, { fields }) =>
    Object.entries(fields).map(([name, value]) =>
      textPacket(`homie/${device}/climate/${name}`, `${value}`, true),
    ),
  helloOf: (device) => [textPacket(`homie/${device}/$state`, 'ready', true)],
  willOf: (device) => textPacket(`homie/${device}/$state`, 'lost', true),
};
