import { compose } from '../behaviour/behaviour.ts';
import { diurnal } from '../behaviour/diurnal.ts';
import { steady } from '../behaviour/steady.ts';
import { jsonPacket, numbered, type Shape } from './shape.ts';

/** A board on a serial line that writes a line of JSON each time; it knows neither time nor name. */
export const board: Shape = {
  name: 'board',
  deviceOf: (index) => numbered('board', index),
  behaviourOf: () =>
    compose(
      steady({ fields: { soil: 34, light: 800 }, noise: 2, decimals: 1 }),
      diurnal({ field: 'light', swing: 600 }),
    ),
  packetsOf: (device, { fields }) => [jsonPacket(device, fields)],
};
