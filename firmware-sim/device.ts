import type { Codec } from '../src/codec/codec.ts';
import { jsonCodec } from '../src/codec/json.ts';
import type { Behaviour, Fields, Moment } from './behaviour/behaviour.ts';

/** What the devices of a fleet have in common. */
export interface Profile {
  readonly name: string;
  /** The device, from its number, which counts from 0. Also its MQTT client id. */
  deviceOf(index: number): string;
  topicOf(device: string): string;
  /** How the device of that number behaves. Called once per device. */
  behaviourOf(index: number): Behaviour;
}

/** A message as the device hands it to its radio. `device`, `boot` and `seq` name it for ever. */
export interface DeviceMessage {
  readonly index: number;
  readonly device: string;
  readonly topic: string;
  /** Which time the device was switched on: `seq` begins again with each. */
  readonly boot: number;
  readonly seq: number;
  /** When it was measured; milliseconds since the epoch. */
  readonly time: number;
  /** Undefined where the payload makes no sense. */
  readonly fields: Fields | undefined;
  readonly payload: Uint8Array;
}

/** A device is a pure function of the seed, its number and the time: nothing that happened matters. */
export interface Device {
  readonly id: string;
  /** What it sends at that moment: usually one message, none while silent. */
  messagesAt(moment: Moment): readonly DeviceMessage[];
}

const asleep = Object.freeze([{ fields: Object.freeze({}) }]);

/** `boot` tells this life of the device from the others. */
export function createDevice(
  profile: Profile,
  index: number,
  boot: number,
  codec: Codec = jsonCodec,
): Device {
  const id = profile.deviceOf(index);
  const topic = profile.topicOf(id);
  const behaviour = profile.behaviourOf(index);
  return {
    id,
    messagesAt(moment) {
      const { seq, time } = moment;
      return behaviour(asleep, moment).map(({ fields, garbage }) => ({
        index,
        device: id,
        topic,
        boot,
        seq,
        time,
        fields: garbage === undefined ? fields : undefined,
        payload: garbage ?? codec.encode({ ts: time, boot, seq, ...fields }),
      }));
    },
  };
}
