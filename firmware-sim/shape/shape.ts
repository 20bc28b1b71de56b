import type { Behaviour, Transmission } from '../behaviour/behaviour.ts';

/** One message to a broker. */
export interface Packet {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly retain?: true;
}

/** A kind of device: what it is called, what it measures, and how it says so. */
export interface Shape {
  readonly name: string;
  /** The device, from its number, which counts from 0. Also its MQTT client id. */
  deviceOf(index: number): string;
  /** What the device of that number measures. Called once per device. */
  behaviourOf(index: number): Behaviour;
  /** The same transmission always gives the same packets. `boot` is that of the fleet and its life. */
  packetsOf(device: string, sent: Transmission, boot: number): readonly Packet[];
  /** What it says each time it has connected, … */
  helloOf?(device: string): readonly Packet[];
  /** … and what is said for it when it is gone without a word. */
  willOf?(device: string): Packet;
}

export const textPacket = (topic: string, text: string, retain?: true): Packet => ({
  topic,
  payload: Buffer.from(text),
  ...(retain === undefined ? {} : { retain }),
});

export const jsonPacket = (topic: string, document: unknown, retain?: true): Packet =>
  textPacket(topic, JSON.stringify(document), retain);

/** `plug-01` */
export const numbered = (prefix: string, index: number): string =>
  `${prefix}-${String(index + 1).padStart(2, '0')}`;

/** Twelve hexadecimal digits, as of an address in hardware. */
export const macOf = (prefix: string, index: number): string =>
  `${prefix}${index.toString(16).padStart(12 - prefix.length, '0')}`.toUpperCase();

/** The digits of a name that was numbered, or of an address; any other name is number 1. */
export const numberOf = (device: string): number =>
  Number(/(\d+)$/.exec(device)?.[1]?.slice(-6) ?? 1);

/** `2026-11-20T12:00:00`, in UTC. */
export const secondsText = (time: number): string => new Date(time).toISOString().slice(0, 19);
