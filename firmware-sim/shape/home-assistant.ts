import { climate } from './greenhouse.ts';
import { numbered, type Shape, textPacket } from './shape.ts';

/** What Home Assistant tells by its MQTT Statestream: a topic for each sensor of each device. */
export const homeAssistant: Shape = {
  name: 'home-assistant',
  deviceOf: (index) => numbered('lounge', index),
  behaviourOf: () => climate,
  packetsOf: (device, { fields }) =>
    Object.entries(fields).map(([name, value]) =>
      textPacket(
        `homeassistant/sensor/${device.replaceAll('-', '_')}_${name}/state`,
        `${value}`,
        true,
      ),
    ),
};
