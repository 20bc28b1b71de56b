import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { expect } from 'vitest';
import { scramLine } from '../../src/broker/password-file.ts';
import { properties as block, field, packet, publishBytes } from './bytes.ts';
import { promise } from './promise.ts';
import { connectPacket, type RawClient, type Received } from './raw-client.ts';

const auth = (head: number, reason: number, method?: string) =>
  packet(head, [reason], block(...(method === undefined ? [] : [[0x15], field(method)])));

const method = 'SCRAM-SHA-256';

const hmac = (key: Uint8Array, text: string) => createHmac('sha256', key).update(text).digest();

/** The client's side of SCRAM-SHA-256 (RFC 7677): what it answers to the challenge of the server. */
function proofOf(challenge: string, password: string): Buffer {
  const [, nonce, salt, rounds] = /^r=([^,]+),s=([^,]+),i=(\d+)$/.exec(challenge)!;
  const salted = pbkdf2Sync(password, Buffer.from(salt!, 'base64'), Number(rounds), 32, 'sha256');
  const key = hmac(salted, 'Client Key');
  const withoutProof = `c=biws,r=${nonce}`;
  const stored = createHash('sha256').update(key).digest();
  const signature = hmac(stored, `n=anna,r=mine,${challenge},${withoutProof}`);
  const proof = Buffer.from(key.map((byte, at) => byte ^ signature[at]!));
  return Buffer.from(`${withoutProof},p=${proof.toString('base64')}`);
}

const authWith = (reasonCode: number, data: Buffer, authenticationMethod = method) => ({
  ...{ cmd: 'auth', reasonCode },
  properties: { authenticationMethod, authenticationData: data },
});
const first = Buffer.from('n,,n=anna,r=mine');

/** Proves who it is, in the connection or again; resolves with what the server asked. */
async function prove(client: RawClient, password = 'sesame'): Promise<Received<'auth'>> {
  const asked = await client.next('auth');
  client.send(authWith(0x18, proofOf(String(asked.properties!.authenticationData), password)));
  return asked;
}

const salt = Buffer.from('salt of anna');
const users = await scramLine('anna', Buffer.from('sesame'), { salt, iterations: 10 });
const withUsers = { users, options: { auth: { passwordFile: 'users' } } };
const properties = { authenticationMethod: method, authenticationData: first };

export function authentication(): void {
  promise(
    'MQTT5-4.12.0-2 MQTT5-4.12.0-3 MQTT5-4.12.0-5 MQTT5-3.15.2-1 MQTT5-4.12.1-1',
    'authentication goes by AUTH with 0x18, ends with 0x00, and every packet of it has the method',
    async (world) => {
      const client = await world.open();
      client.send(connectPacket(5, { properties }));
      expect(await prove(client)).toMatchObject({
        reasonCode: 0x18,
        properties: { authenticationMethod: method },
      });
      const connack = await client.next('connack');
      expect([connack.reasonCode, connack.properties?.authenticationMethod]).toEqual([0, method]);
      client.send(authWith(0x19, first));
      expect((await prove(client)).reasonCode).toBe(0x18);
      const done = await client.next('auth');
      expect([done.reasonCode ?? 0, done.properties?.authenticationMethod]).toEqual([0, method]);
      await client.publish('a', 'x', { qos: 1 });
    },
    withUsers,
  );

  promise(
    'MQTT5-4.12.0-4 MQTT5-4.12.1-2 MQTT5-4.13.2-1',
    'a wrong proof ends the connection, when connecting and when authenticating again',
    async (world) => {
      const stranger = await world.open();
      stranger.send(connectPacket(5, { properties }));
      await prove(stranger, 'guess');
      expect((await stranger.next('connack')).reasonCode).toBe(0x87);
      await stranger.closed();
      const client = await world.open();
      client.send(connectPacket(5, { properties }));
      await prove(client);
      await client.next('connack');
      client.send(authWith(0x19, first));
      await prove(client, 'guess');
      await client.refused(0x87);
    },
    withUsers,
  );

  promise(
    'MQTT5-3.1.2-30 MQTT5-4.12.1-1 MQTT5-4.12.0-5',
    'another packet before CONNACK, or another method, ends the connection',
    async (world) => {
      const client = await world.open();
      client.send(connectPacket(5, { properties }));
      await client.next('auth');
      client.send(publishBytes(5));
      await client.closed();
      const other = await world.open();
      other.send(connectPacket(5, { properties }));
      await prove(other);
      await other.next('connack');
      other.send(authWith(0x19, first, 'SCRAM-SHA-1'));
      await other.closed();
      expect(world.messages).toEqual([]);
    },
    withUsers,
  );

  promise(
    'MQTT5-3.15.2-2 MQTT5-3.15.2-3',
    'AUTH has neither a reason string nor user properties',
    async (world) => {
      const client = await world.open();
      client.send(connectPacket(5, { properties }));
      const { properties: said } = await prove(client);
      expect(Object.keys(said!).sort()).toEqual(['authenticationData', 'authenticationMethod']);
      await client.next('connack');
    },
    withUsers,
  );

  promise(
    'MQTT5-4.12.0-1 MQTT5-4.12.0-4 MQTT5-3.1.4-6',
    'an authentication method that is not supported gets 0x8C and the end, whatever follows',
    async (world) => {
      const client = await world.open();
      const method = { properties: { authenticationMethod: 'GS2-KRB5' } };
      client.send(connectPacket(5, method), publishBytes(5), Buffer.of(0xc0, 0));
      expect(await client.next('connack')).toMatchObject({
        reasonCode: 0x8c,
        sessionPresent: false,
      });
      await client.closed();
      expect(client.pending).toEqual([]);
      expect(world.messages).toEqual([]);
    },
  );

  promise(
    'MQTT5-4.12.0-6 MQTT5-4.12.0-7 MQTT5-4.12.1-1',
    'without an authentication method there is no AUTH, and one from the client is an error',
    async (world) => {
      for (const reason of [0x18, 0x19]) {
        const client = await world.connect();
        expect(client.connack.properties ?? {}).not.toHaveProperty('authenticationMethod');
        client.send(auth(0xf0, reason, 'SCRAM-SHA-256'));
        await client.refused(0x82);
      }
    },
  );

  promise('MQTT5-3.15.1-1', 'AUTH with flags that are not 0 is malformed', async (world) => {
    for (const first of [0xf1, 0xf2, 0xf8]) {
      const client = await world.connect();
      client.send(auth(first, 0x18, 'SCRAM-SHA-256'));
      await client.refused(0x81);
    }
  });

  promise(
    'MQTT5-3.1.4-2 MQTT-3.2.2-4 MQTT-3.2.2-5 MQTT5-3.2.2-6 MQTT5-3.2.2-7 MQTT5-3.2.2-8',
    'a client that may not connect is told so and closed, and what it sent along has no effect',
    async (world) => {
      for (const more of [{}, { username: 'nobody', password: 'wrong' }]) {
        const client = await world.open();
        client.send(connectPacket(world.version, more), publishBytes(world.version));
        const connack = await client.next('connack');
        expect(connack.sessionPresent).toBe(false);
        if (world.version === 5) expect([0x86, 0x87]).toContain(connack.reasonCode);
        else expect([4, 5]).toContain(connack.returnCode);
        await client.closed();
        expect(client.pending).toEqual([]);
      }
      expect(world.messages).toEqual([]);
    },
    {
      options: { auth: { passwordFile: 'users' } },
      users: '',
    },
  );

  promise(
    'MQTT-3.3.5-2 MQTT5-3.4.2-1 MQTT5-3.5.2-1 MQTT5-4.3.3-9',
    'a message that is not allowed is acknowledged, with 0x87 where that can be said, and has no effect',
    async (world) => {
      const sub = await world.connect({ id: 'sub' });
      await sub.subscribe('tidegate/#', 2);
      const pub = await world.connect({ id: 'pub' });
      for (let times = 0; times < 2; times++) {
        for (const flags of [2, 4]) {
          pub.send(publishBytes(world.version, { flags, id: 5, topic: 'tidegate/mine' }));
          const answer = await pub.take(flags === 2 ? 'puback' : 'pubrec');
          if (world.version === 5) expect(answer.reasonCode).toBe(0x87);
          else if (flags === 4) {
            pub.send({ cmd: 'pubrel', messageId: 5 });
            await pub.take('pubcomp');
          }
        }
      }
      await pub.publish('mine', 'x', { qos: 2, id: 5 });
      expect(
        (await world.deliveries(sub)).filter(({ topic }) => topic === 'tidegate/mine'),
      ).toEqual([]);
      expect(world.messages.map(({ topic }) => topic)).toContain('mine');
    },
  );
}
