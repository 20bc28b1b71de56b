import { asleep, type Behaviour, type Fields, type Moment } from './behaviour/behaviour.ts';
import type { Packet, Shape } from './shape/shape.ts';

/** A message as the device hands it to its radio. `device`, `boot` and `seq` name it for ever. */
export interface DeviceMessage extends Packet {
  readonly index: number;
  readonly device: string;
  /** Which time the device was switched on: `seq` begins again with each. */
  readonly boot: number;
  /** 0 for what is said when connecting. */
  readonly seq: number;
  /** When it was measured, as the device believes; milliseconds since the epoch. */
  readonly time: number;
  /** Undefined where the payload makes no sense. */
  readonly fields: Fields | undefined;
  /** The device gives it up when it was sent once. */
  readonly once?: true;
  /** Milliseconds after the fleet was switched on at which it could be sent first. */
  readonly dueMs: number;
}

/** A device is a pure function of the seed, its number and the time: nothing that happened matters. */
export interface Device {
  readonly id: string;
  /** What it sends at that moment: usually one message, none while silent. */
  messagesAt(moment: Moment): readonly DeviceMessage[];
  /** What it says each time it has connected. */
  hello(time: number, dueMs: number): readonly DeviceMessage[];
  /** What is said for it when it is gone without a word. */
  readonly will: Packet | undefined;
}

export interface DeviceOptions {
  readonly shape: Shape;
  readonly index: number;
  /** Tells this life of the device from the others. */
  readonly boot: number;
  /** What it does beside measuring. */
  readonly behaviour?: Behaviour;
  /** Put before its name, and so before its topics. */
  readonly prefix?: string;
}

export function createDevice({ shape, index, boot, behaviour, prefix }: DeviceOptions): Device {
  const id = `${prefix ?? ''}${shape.deviceOf(index)}`;
  const measuring = shape.behaviourOf(index)(asleep);
  const sending = behaviour?.(measuring) ?? measuring;
  return {
    id,
    messagesAt: (moment) =>
      sending(moment).flatMap((sent): readonly DeviceMessage[] => {
        const life = boot + sent.at.life;
        const { garbage, once, time, at } = sent;
        const common = {
          index,
          device: id,
          boot: life,
          seq: at.seq,
          time,
          dueMs: moment.elapsedMs,
        };
        const packets = shape.packetsOf(id, sent, life);
        if (garbage === undefined) {
          return packets.map((packet) => ({ ...packet, ...common, fields: sent.fields }));
        }
        const spoilt = { topic: packets[0]!.topic, payload: garbage, fields: undefined };
        return [{ ...spoilt, ...common, ...(once === undefined ? {} : { once }) }];
      }),
    hello: (time, dueMs) =>
      (shape.helloOf?.(id) ?? []).map((packet) => ({
        ...packet,
        ...{ index, device: id, boot, seq: 0, time, fields: undefined, dueMs },
      })),
    will: shape.willOf?.(id),
  };
}
