import type { Codec, CodecFiles, Document } from '../../src/codec/codec.ts';
import { type CodecChoice, createCodec } from '../../src/codec/index.ts';
import type { Transmission } from '../behaviour/behaviour.ts';
import { documentOf } from './document.ts';
import { greenhouse } from './greenhouse.ts';
import { type Packet, type Shape, textPacket } from './shape.ts';

/** The schema of what a device that speaks Protocol Buffers sends, for the gateway to be given. */
export const climateProto = `syntax = "proto3";

message Climate {
  double ts = 1;
  uint32 boot = 2;
  uint32 seq = 3;
  uint32 part = 4;
  double temperature = 5;
  double humidity = 6;
  double battery = 7;
}
`;

/** The layout of what a device that speaks bytes sends, for the gateway to be given. */
export const climateLayout = [
  { name: 'boot', type: 'u32' },
  { name: 'seq', type: 'u32' },
  { name: 'temperature', type: 'i16', scale: 0.01 },
  { name: 'humidity', type: 'u16', scale: 0.01 },
  { name: 'battery', type: 'u8', scale: 0.5 },
] as const;

const codec = (choice: unknown, files?: CodecFiles): Codec =>
  createCodec(choice as CodecChoice, files);
type Speak = (device: string, sent: Transmission, boot: number) => readonly Packet[];

/** The climate of the greenhouse on `sensors/<device>/climate`, as that codec writes it. */
function whole(
  spoken: Codec,
  write: (device: string, sent: Transmission, boot: number) => Document = (_, sent, boot) =>
    documentOf(sent, boot),
): Speak {
  return (device, sent, boot) => [
    { topic: `sensors/${device}/climate`, payload: spoken.encode(write(device, sent, boot)) },
  ];
}

const senmlRecords = (device: string, sent: Transmission, boot: number): Document => {
  const { ts: _, ...values } = documentOf(sent, boot);
  return Object.entries(values).map(([n, value], place) => ({
    ...(place === 0 ? { bn: `${device}/`, bt: sent.time / 1_000 } : {}),
    n,
    ...(typeof value === 'number'
      ? { v: value }
      : { [typeof value === 'boolean' ? 'vb' : 'vs']: value }),
  }));
};

const point = (device: string, sent: Transmission, boot: number): Document => {
  const { ts: _, ...fields } = documentOf(sent, boot);
  return { measurement: 'climate', tags: { device }, fields, time: `${sent.time}000000` };
};

const speakers: Readonly<Record<string, () => Speak>> = {
  json: () => greenhouse.packetsOf,
  text: () => (device, sent) =>
    Object.entries(sent.fields).map(([field, value]) =>
      textPacket(`sensors/${device}/${field}`, `${value}`),
    ),
  csv: () => whole(codec('csv')),
  cbor: () => whole(codec('cbor')),
  senml: () => whole(codec('senml'), senmlRecords),
  'line-protocol': () => whole(codec('line-protocol'), point),
  cayenne: () =>
    whole(codec({ kind: 'bytes', layout: 'cayenne', rest: 'refuse' }), (_, { fields }) => ({
      temperature_1: fields.temperature ?? 0,
      relative_humidity_2: fields.humidity ?? 0,
      percentage_3: Math.round(Number(fields.battery ?? 0)),
    })),
  bytes: () =>
    whole(createBytes(), (_, { at, fields }, boot) => ({
      ...{ boot: boot % 2 ** 32, seq: at.seq },
      ...{ temperature: fields.temperature ?? 0, humidity: fields.humidity ?? 0 },
      battery: fields.battery ?? 0,
    })),
  protobuf: () => whole(createProtobuf()),
};

function createBytes(): Codec {
  return codec({
    kind: 'bytes',
    layout: climateLayout,
    endian: 'big',
    rest: 'refuse',
    repeat: false,
  });
}

function createProtobuf(): Codec {
  const options = { enums: 'name', defaults: 'include', files: ['climate.proto'] };
  return codec(
    { kind: 'protobuf', ...options, message: 'Climate' },
    new Map([['climate.proto', climateProto]]),
  );
}

export const codedNames: readonly string[] = Object.keys(speakers);

/** The devices of the greenhouse, speaking another format. */
export function codedShape(name: string): Shape {
  const speak = speakers[name]?.();
  if (speak === undefined) throw new Error(`Devices do not speak ${name}.`);
  return { ...greenhouse, name, packetsOf: speak };
}
