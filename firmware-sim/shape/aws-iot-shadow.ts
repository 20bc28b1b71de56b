import { climate } from './greenhouse.ts';
import { jsonPacket, numbered, type Shape } from './shape.ts';

/** Devices that report their state as to the shadow service of AWS IoT. */
export const awsIotShadow: Shape = {
  name: 'aws-iot-shadow',
  deviceOf: (index) => numbered('thing', index),
  behaviourOf: () => climate,
  packetsOf: (device, { time, fields }) => [
    jsonPacket(`things/${device}/shadow/update`, {
      state: { reported: fields },
      timestamp: Math.floor(time / 1_000),
    }),
  ],
};
