import { compose } from '../behaviour/behaviour.ts';
import { counter } from '../behaviour/counter.ts';
import { steady } from '../behaviour/steady.ts';
import { jsonPacket, numbered, type Shape, secondsText, textPacket } from './shape.ts';

/** Its STATE comes with every so many SENSOR messages. */
const momentsPerState = 10;

/** Plugs with Tasmota that measure energy: tele/<topic>/SENSOR, STATE and LWT. */
export const tasmota: Shape = {
  name: 'tasmota',
  deviceOf: (index) => numbered('plug', index),
  behaviourOf: () =>
    compose(
      steady({ fields: { Total: 41.5 } }),
      counter('Total', 0.06),
      steady({ fields: { Power: 61 }, noise: 3, decimals: 0 }),
      steady({ fields: { Voltage: 231 }, noise: 2, decimals: 0 }),
      steady({ fields: { Current: 0.265 }, noise: 0.01, decimals: 3 }),
    ),
  packetsOf(device, { at, time, fields }) {
    const Time = secondsText(time);
    const sensor = jsonPacket(`tele/${device}/SENSOR`, { Time, ENERGY: fields });
    if (at.seq % momentsPerState !== 1) return [sensor];
    const Wifi = { AP: 1, SSId: 'home', RSSI: 78, Signal: -61 };
    const UptimeSec = Math.round(at.elapsedMs / 1_000);
    return [sensor, jsonPacket(`tele/${device}/STATE`, { Time, UptimeSec, POWER: 'ON', Wifi })];
  },
  helloOf: (device) => [textPacket(`tele/${device}/LWT`, 'Online', true)],
  willOf: (device) => textPacket(`tele/${device}/LWT`, 'Offline', true),
};
