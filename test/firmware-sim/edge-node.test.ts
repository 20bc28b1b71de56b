import { expect, test } from 'vitest';
import { createDevice } from '../../firmware-sim/device.ts';
import { sparkplug } from '../../firmware-sim/shape/sparkplug.ts';
import { createCodec } from '../../src/codec/index.ts';

const start = Date.UTC(2026, 10, 20);
const momentOf = (seq: number) => ({
  ...{
    seed: 1,
    index: 0,
    life: 0,
    seq,
    periodMs: 1_000,
    phaseMs: 0,
    elapsedMs: seq * 1_000,
    time: start + seq * 1_000,
  },
});

test('a host understands an edge node from its first word on, and asks it for nothing', () => {
  const node = createDevice({ shape: sparkplug, index: 0, boot: 7 });
  const host = createCodec('sparkplug');
  const said: object[] = [];
  for (let seq = 1; seq <= 130; seq++) {
    for (const { topic, payload, fields, time } of node.messagesAt(momentOf(seq))) {
      const found = host.find!(payload, topic, time);
      expect([found.problem, found.replies]).toEqual([undefined, undefined]);
      if (!('readings' in found)) throw new Error('No readings.');
      expect(found.readings.at(-1)).toMatchObject({ device: 'press-01', time, fields });
      said.push(...found.readings);
    }
  }
  expect(said).toHaveLength(130 + 3);
});

test('what an edge node says at a moment depends on nothing that was before', () => {
  const one = createDevice({ shape: sparkplug, index: 3, boot: 7 });
  const other = createDevice({ shape: sparkplug, index: 3, boot: 7 });
  one.messagesAt(momentOf(1));
  expect(one.messagesAt(momentOf(62))).toEqual(other.messagesAt(momentOf(62)));
});
