import { expect, test } from 'vitest';
import { z } from 'zod';
import { brokerOptions } from '../../src/broker/options.ts';

test('without a word of configuration the broker serves this machine on port 1883', () => {
  expect(brokerOptions.parse({})).toEqual({
    listeners: [{ port: 1883, host: '127.0.0.1', transport: 'tcp' }],
    auth: { anonymous: true },
    limits: {
      ...{ connections: 1000, packetBytes: 262_144, messagesPerSecond: 10_000 },
      queuedMessages: 1000,
    },
  });
});

test('what is not there yet is refused in so many words', () => {
  const problemsOf = (options: unknown): string[] =>
    brokerOptions.safeParse(options).error!.issues.map(({ message }) => message);
  expect(problemsOf({ listeners: [{ port: 8083, transport: 'websocket' }] })).toEqual([
    'websocket listeners are not supported yet; use tcp',
  ]);
  expect(problemsOf({ auth: { anonymous: false } })[0]).toContain('not supported yet');
  expect(problemsOf({ limits: { connection: 5 } })[0]).toContain('connection');
});

test('editors get a schema in which every option is described', () => {
  const schema = z.toJSONSchema(brokerOptions, { io: 'input' }) as unknown as {
    properties: { limits: { properties: Record<string, { description?: string }> } };
  };
  const { limits } = schema.properties;
  expect(Object.keys(limits.properties)).toEqual([
    ...['connections', 'packetBytes', 'messagesPerSecond', 'queuedMessages'],
  ]);
  for (const option of Object.values(limits.properties)) expect(option.description).toBeTruthy();
});
