import { z } from 'zod';
import { duration, pem, secret, size } from '../kind/kind.ts';

const tlsOptions = z
  .strictObject({
    cert: pem.describe('The certificate of the listener: PEM, or the path of a PEM file.'),
    key: secret.describe('Its private key.'),
    clientCa: pem
      .optional()
      .describe('Clients must show a certificate that this authority has signed.'),
  })
  .describe('TLS for this listener; without it, what is sent can be read on the way.');

const authOptions = z
  .strictObject({
    anonymous: z
      .boolean()
      .optional()
      .describe(
        'Clients need no user name. Default: true without a passwordFile, and false with one.',
      ),
    passwordFile: z
      .string()
      .min(1)
      .optional()
      .describe('The users, in a file that tidegate passwd or mosquitto_passwd writes.'),
    aclFile: z
      .string()
      .min(1)
      .optional()
      .describe(
        "Who may read and write which topics: a file in Mosquitto's format. Default: everybody everything.",
      ),
  })
  .refine(({ anonymous, passwordFile }) => anonymous !== false || passwordFile !== undefined, {
    path: ['anonymous'],
    message: 'must be true unless there is a passwordFile: nobody could connect',
  });
export type AuthOptions = z.output<typeof authOptions>;

const packetBytes = size.refine(
  (bytes) => bytes >= 128 && bytes <= 256 * 2 ** 20,
  'must be from 128 to 256MiB',
);

const listenerLimits = z.strictObject({
  connections: z.number().int().min(1).optional().describe('Clients connected at once here.'),
  packetBytes: packetBytes.optional().describe('The largest MQTT packet a client may send here.'),
});

/** The longest that the system takes (unix(7)), with a null at its end. */
const socketPathBytesMax = 107;

const listenerOptions = z
  .strictObject({
    port: z.number().int().min(0).max(65_535).default(1883).describe('0 takes any free port.'),
    host: z
      .string()
      .min(1)
      .default('127.0.0.1')
      .describe('The address to listen on; 0.0.0.0 for every IPv4 network, :: for every network.'),
    path: z
      .string()
      .min(1)
      .refine(
        (path) => Buffer.byteLength(path) <= socketPathBytesMax,
        `must be at most ${socketPathBytesMax} bytes long`,
      )
      .optional()
      .describe('A unix socket to listen on, instead of host and port.'),
    mode: z
      .string()
      .regex(/^0?[0-7]{3}$/, 'must be the rights of a file in octal, such as "0660"')
      .optional()
      .describe('Who may connect to the unix socket: the rights of its file. Default: "0660".'),
    tls: tlsOptions.optional(),
    transport: z
      .enum(['tcp', 'websocket'])
      .default('tcp')
      .describe('How MQTT is carried: plainly, or in WebSockets, as browsers need it.'),
    urlPath: z
      .string()
      .regex(/^\/[^?#\s]*$/, 'must be the path of a URL, such as /mqtt')
      .optional()
      .describe('The path that WebSocket clients must ask for. Default: any.'),
    auth: authOptions
      .optional()
      .describe('Who may connect, publish and subscribe here, instead of broker.auth.'),
    limits: listenerLimits.optional().describe('What clients may take here, within broker.limits.'),
  })
  .refine(({ path, tls }) => path === undefined || tls === undefined, {
    path: ['tls'],
    message: 'does not go with path: what passes a unix socket stays on this machine. Delete one',
  })
  .refine(({ transport, urlPath }) => transport === 'websocket' || urlPath === undefined, {
    path: ['urlPath'],
    message: 'is only for transport: websocket',
  });

const limitsOptions = z.strictObject({
  connections: z.number().int().min(1).default(1000).describe('Clients connected at once.'),
  packetBytes: packetBytes
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
  sysInterval: duration
    .prefault('10s')
    .describe(
      'How often $SYS/broker/# is brought up to date, while somebody subscribes; 0s never.',
    ),
});
export type BrokerOptions = z.output<typeof brokerOptions>;
export type ListenerOptions = BrokerOptions['listeners'][number];
