import { awsIotShadow } from './aws-iot-shadow.ts';
import { ruuvi, theengs } from './bluetooth.ts';
import { board } from './board.ts';
import { codedNames, codedShape } from './coded.ts';
import { esphome } from './esphome.ts';
import { greenhouse, plainClimate } from './greenhouse.ts';
import { homeAssistant } from './home-assistant.ts';
import { homie } from './homie.ts';
import { chirpstack, theThingsStack } from './lorawan.ts';
import type { Shape } from './shape.ts';
import { shelly1, shelly2 } from './shelly.ts';
import { sparkplug } from './sparkplug.ts';
import { tasmota } from './tasmota.ts';
import { zigbee2mqtt } from './zigbee2mqtt.ts';

/** Devices as they are sold; those that speak a codec of ours are in `coded.ts`. */
const devices: readonly Shape[] = [
  ...[greenhouse, plainClimate, board, sparkplug, tasmota, shelly1, shelly2, esphome, zigbee2mqtt],
  ...[homeAssistant, theThingsStack, chirpstack, ruuvi, theengs, awsIotShadow, homie],
];
const byName = new Map(devices.map((shape) => [shape.name, shape]));

/** Every kind of device there is. */
export const shapeNames: readonly string[] = [...byName.keys(), ...codedNames];

export function shapeNamed(name: string): Shape {
  return byName.get(name) ?? codedShape(name);
}
