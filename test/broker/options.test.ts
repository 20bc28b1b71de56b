import { expect, test } from 'vitest';
import { z } from 'zod';
import { brokerOptions } from '../../src/broker/options.ts';

test('without a word of configuration the broker serves this machine on port 1883', () => {
  expect(brokerOptions.parse({})).toEqual({
    listeners: [{ port: 1883, host: '127.0.0.1', transport: 'tcp' }],
    auth: {},
    sysInterval: 10_000,
    limits: {
      ...{ connections: 1000, packetBytes: 262_144, messagesPerSecond: 10_000 },
      queuedMessages: 1000,
    },
  });
});

test('what makes no sense is refused in so many words', () => {
  const problemsOf = (options: unknown): string[] =>
    brokerOptions.safeParse(options).error!.issues.map(({ message }) => message);
  expect(problemsOf({ listeners: [{ urlPath: '/mqtt' }] })).toEqual([
    'is only for transport: websocket',
  ]);
  const tls = { cert: 'c.pem', key: 'k.pem' };
  expect(problemsOf({ listeners: [{ path: 'mqtt.sock', tls }] })).toEqual([
    'does not go with path: what passes a unix socket stays on this machine. Delete one',
  ]);
  expect(problemsOf({ listeners: [{ path: 'x'.repeat(108) }] })).toEqual([
    'must be at most 107 bytes long',
  ]);
  expect(problemsOf({ auth: { anonymous: false } })).toEqual([
    'must be true unless there is a passwordFile: nobody could connect',
  ]);
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
