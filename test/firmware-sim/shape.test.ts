import { expect, test } from 'vitest';
import { createDevice } from '../../firmware-sim/device.ts';
import { climateLayout, climateProto, codedNames } from '../../firmware-sim/shape/coded.ts';
import { shapeNamed, shapeNames } from '../../firmware-sim/shape/index.ts';
import type { CodecChoice } from '../../src/codec/index.ts';
import { createCodec } from '../../src/codec/index.ts';
import { loadConfig } from '../../src/config/load.ts';
import { outcomeOf, receivedAt } from '../profile/outcome.ts';

const { config } = await loadConfig({ environment: {}, cwd: import.meta.dirname });
const time = receivedAt - 30_000;
const momentOf = (seq: number) => ({
  ...{ seed: 1, index: 0, life: 0, seq, elapsedMs: (seq - 1) * 1_000, periodMs: 1_000, phaseMs: 0 },
  time: time + (seq - 1) * 1_000,
});
const messagesOf = (name: string) => {
  const device = createDevice({ shape: shapeNamed(name), index: 0, boot: 1 });
  return [
    ...device.hello(time, 0),
    ...device.messagesAt(momentOf(1)),
    ...device.messagesAt(momentOf(2)),
  ];
};
interface Reading {
  readonly device: string;
  readonly measurement: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** These are not to be guessed: whoever uses them says so in `ingest`. */
const named = ['csv', 'cayenne', 'bytes', 'protobuf'];

test.for(shapeNames.filter((name) => !named.includes(name)))(
  'without any ingest the gateway understands %s',
  (name) => {
    const messages = messagesOf(name);
    const { readings, errors, ignored } = outcomeOf(config.ingest, messages);
    expect(errors).toEqual([]);
    expect(ignored).toEqual([]);
    const values = (readings as Reading[]).flatMap(({ fields }) => Object.values(fields));
    const measured = messages.findLast(({ fields }) => fields !== undefined)!.fields!;
    for (const [field, value] of Object.entries(measured)) {
      const near = values.some((each) =>
        typeof value === 'number' ? Math.abs(Number(each) - value) < 0.51 : each === value,
      );
      expect(near || (name === 'ruuvi' && field === 'battery'), `${field} = ${value}`).toBe(true);
    }
    if (shapeNamed(name).helloOf === undefined) return;
    expect(readings[0]).toMatchObject({ measurement: 'presence', fields: { online: true } });
    const { will } = createDevice({ shape: shapeNamed(name), index: 0, boot: 1 });
    const gone = outcomeOf(config.ingest, [will!]).readings;
    expect(gone).toMatchObject([{ measurement: 'presence', fields: { online: false } }]);
  },
);

const codecs: Readonly<Record<string, unknown>> = {
  csv: 'csv',
  cayenne: { kind: 'bytes', layout: 'cayenne', rest: 'refuse', repeat: false, endian: 'big' },
  bytes: { kind: 'bytes', layout: climateLayout, rest: 'refuse', repeat: false, endian: 'big' },
  protobuf: {
    kind: 'protobuf',
    files: ['c.proto'],
    message: 'Climate',
    enums: 'name',
    defaults: 'include',
  },
};
test.for(named)('what a device says in %s is read by the codec of that name', (name) => {
  expect(codedNames).toContain(name);
  const codec = createCodec(codecs[name] as CodecChoice, new Map([['c.proto', climateProto]]));
  for (const { payload, fields, topic } of messagesOf(name)) {
    const found = codec.find?.(payload, topic, receivedAt) ?? { document: codec.decode(payload) };
    const whole = 'document' in found ? found.document : found.readings[0];
    const document = (Array.isArray(whole) ? whole[0] : whole) as Record<string, number>;
    const temperature = document.temperature ?? document.temperature_1;
    expect(Math.abs(temperature! - Number(fields!.temperature))).toBeLessThan(0.06);
  }
});
