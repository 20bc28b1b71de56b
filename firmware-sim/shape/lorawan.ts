import { climate } from './greenhouse.ts';
import { jsonPacket, macOf, numbered, numberOf, type Shape } from './shape.ts';

const isoText = (time: number): string => new Date(time).toISOString();

/** Uplinks of LoRaWAN devices, as The Things Stack hands them on. */
export const theThingsStack: Shape = {
  name: 'the-things-stack',
  deviceOf: (index) => numbered('field', index),
  behaviourOf: () => climate,
  packetsOf: (device, { at, time, fields }) => [
    jsonPacket(`v3/farm@ttn/devices/${device}/up`, {
      end_device_ids: {
        device_id: device,
        application_ids: { application_id: 'farm' },
        dev_eui: macOf('70B3D57ED005', numberOf(device)).padStart(16, '0'),
      },
      received_at: isoText(time),
      uplink_message: {
        ...{ f_port: 1, f_cnt: at.seq, decoded_payload: fields },
        rx_metadata: [{ gateway_ids: { gateway_id: 'roof' }, rssi: -97, snr: 7.5 }],
      },
    }),
  ],
};

/** The same, as ChirpStack 4 hands them on. */
export const chirpstack: Shape = {
  name: 'chirpstack',
  deviceOf: (index) => numbered('meadow', index),
  behaviourOf: () => climate,
  packetsOf(device, { at, time, fields }) {
    const devEui = macOf('70b3d57ed006', numberOf(device)).padStart(16, '0').toLowerCase();
    return [
      jsonPacket(`application/1/device/${devEui}/event/up`, {
        ...{ time: isoText(time), fCnt: at.seq, fPort: 1, object: fields },
        deviceInfo: { applicationName: 'farm', deviceName: device, devEui },
        rxInfo: [{ gatewayId: 'roof', rssi: -101, snr: 6.2 }],
      }),
    ];
  },
};
