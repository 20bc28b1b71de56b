import { z } from 'zod';
import { pem, secret, size } from '../kind/kind.ts';

const tlsOptions = z
  .strictObject({
    cert: pem.describe('The certificate of the listener: PEM, or the path of a PEM file.'),
    key: secret.describe('Its private key.'),
    clientCa: pem
      .optional()
      .describe('Clients must show a certificate that this authority has signed.'),
  })
  .describe('TLS for this listener; without it, what is sent can be read on the way.');

const listenerOptions = z.strictObject({
  port: z.number().int().min(0).max(65_535).default(1883).describe('0 takes any free port.'),
  host: z
    .string()
    .min(1)
    .default('127.0.0.1')
    .describe('The address to listen on; 0.0.0.0 for every IPv4 network, :: for every network.'),
  tls: tlsOptions.optional(),
  transport: z
    .enum(['tcp'], {
      error: ({ input }) =>
        input === 'websocket'
          ? 'websocket listeners are not supported yet; use tcp'
          : 'must be tcp',
    })
    .default('tcp')
    .describe('How MQTT is carried.'),
});

const authOptions = z.strictObject({
  anonymous: z
    .literal(true, { error: 'must be true: password files are not supported yet' })
    .default(true)
    .describe('Clients need no user name.'),
});

const limitsOptions = z.strictObject({
  connections: z.number().int().min(1).default(1000).describe('Clients connected at once.'),
  packetBytes: size
    .refine((bytes) => bytes >= 128 && bytes <= 256 * 2 ** 20, 'must be from 128 to 256MiB')
    .prefault('256KiB')
    .describe('The largest MQTT packet a client may send.'),
  messagesPerSecond: z
    .number()
    .min(0)
    .default(10_000)
    .describe('Messages from one client; a faster client is slowed down. 0 is no limit.'),
  queuedMessages: z
    .number()
    .int()
    .min(0)
    .default(1000)
    .describe('Messages that wait for one subscriber that is away.'),
});

/** `broker:` in the configuration. */
export const brokerOptions = z.strictObject({
  listeners: z
    .array(listenerOptions)
    .min(1)
    .prefault([{}])
    .describe('Where clients connect. Default: port 1883, from this machine only.'),
  auth: authOptions.prefault({}).describe('Who may connect, publish and subscribe.'),
  limits: limitsOptions.prefault({}).describe('What one client, and all of them, may take.'),
});
export type BrokerOptions = z.output<typeof brokerOptions>;
export type ListenerOptions = BrokerOptions['listeners'][number];
