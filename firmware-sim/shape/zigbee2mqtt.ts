import { climate } from './greenhouse.ts';
import { jsonPacket, numbered, type Shape } from './shape.ts';

/** Climate sensors behind Zigbee2MQTT. */
export const zigbee2mqtt: Shape = {
  name: 'zigbee2mqtt',
  deviceOf: (index) => numbered('bedroom', index),
  behaviourOf: () => climate,
  packetsOf: (device, { fields }) => [
    jsonPacket(`zigbee2mqtt/${device}`, { ...fields, linkquality: 120, voltage: 3_000 }),
  ],
  helloOf: (device) => [
    jsonPacket(`zigbee2mqtt/${device}/availability`, { state: 'online' }, true),
  ],
  willOf: (device) => jsonPacket(`zigbee2mqtt/${device}/availability`, { state: 'offline' }, true),
};
