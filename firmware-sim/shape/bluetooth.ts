import { climate } from './greenhouse.ts';
import { jsonPacket, macOf, type Shape } from './shape.ts';

const colons = (mac: string): string => mac.replace(/..(?=.)/g, '$&:');

/** RuuviTags, whose advertisements (data format 5) a Ruuvi Gateway hands on as it heard them. */
export const ruuvi: Shape = {
  name: 'ruuvi',
  deviceOf: (index) => colons(macOf('F4A5', index)),
  behaviourOf: () => climate,
  packetsOf(device, { at, time, fields }) {
    const data = Buffer.alloc(31);
    data.write('0201061bff9904', 'hex');
    data[7] = 5;
    data.writeInt16BE(Math.round(Number(fields.temperature) / 0.005), 8);
    data.writeUInt16BE(Math.round(Number(fields.humidity) / 0.0025), 10);
    data.writeUInt16BE(101_325 - 50_000, 12);
    for (const [axis, value] of [4, -20, 1_036].entries()) data.writeInt16BE(value, 14 + 2 * axis);
    data.writeUInt16BE((1_377 << 5) | 22, 20);
    data.writeUInt16BE(at.seq % 65_535, 23);
    data.write(device.replaceAll(':', ''), 25, 'hex');
    return [
      jsonPacket(`ruuvi/C8:25:2D:8E:9C:2C/${device}`, {
        ...{ gw_mac: 'C8:25:2D:8E:9C:2C', rssi: -62, aoa: [] },
        ...{ gwts: `${Math.floor(time / 1_000)}`, ts: `${Math.floor(time / 1_000)}` },
        data: data.toString('hex').toUpperCase(),
        coords: '',
      }),
    ];
  },
};

/** Bluetooth sensors, decoded by Theengs Gateway or OpenMQTTGateway. */
export const theengs: Shape = {
  name: 'theengs',
  deviceOf: (index) => colons(macOf('A4C138', index)),
  behaviourOf: () => climate,
  packetsOf: (device, { fields }) => [
    jsonPacket(`home/TheengsGateway/BTtoMQTT/${device.replaceAll(':', '')}`, {
      ...{ id: device, rssi: -70, brand: 'Xiaomi', model: 'TH Sensor', model_id: 'LYWSD03MMC' },
      ...{ tempc: fields.temperature, hum: fields.humidity, batt: fields.battery },
    }),
  ],
};
