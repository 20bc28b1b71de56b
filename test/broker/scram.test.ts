import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { isPassword, parsePasswords, scramLine } from '../../src/broker/password-file.ts';
import { challengeOf, scramKeysOf } from '../../src/broker/scram.ts';
import { authFiles, userLine } from './auth-files.ts';
import {
  connectPacket,
  openRawClient,
  openTestBroker,
  publishPacket,
  type RawClient,
  stopAll,
} from './harness.ts';

afterEach(stopAll);

/** The keys of RFC 7677, clause 3. */
function exampleKeys() {
  const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64');
  const salted = pbkdf2Sync('pencil', salt, 4096, 32, 'sha256');
  return { iterations: 4096, salt, ...scramKeysOf(salted) };
}
const clientFirst = 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO';
const nonce = '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0';
const clientFinal = `c=biws,r=rOprNGfwEbeRWgbNEkqO${nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=`;

test('the exchange of RFC 7677 comes out as it stands there', () => {
  const challenge = challengeOf(Buffer.from(clientFirst), nonce, exampleKeys)!;
  expect(challenge.username).toBe('user');
  expect(`${challenge.message}`).toBe(
    `r=rOprNGfwEbeRWgbNEkqO${nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`,
  );
  expect(`${challenge.answer(Buffer.from(clientFinal))}`).toBe(
    'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
  );
});

test('whatever is changed in a proof, it is none', () => {
  const challenge = challengeOf(Buffer.from(clientFirst), nonce, exampleKeys)!;
  for (let at = 0; at < clientFinal.length - 1; at++) {
    const bytes = Buffer.from(clientFinal);
    bytes[at]! ^= 1;
    expect(challenge.answer(bytes), `byte ${at}`).toBeUndefined();
  }
  expect(challenge.answer(Buffer.alloc(5000, 'p='))).toBeUndefined();
});

test('first messages that are not sound, or ask for what is not there, are refused', () => {
  const first = (text: string) => challengeOf(Buffer.from(text), nonce, exampleKeys)?.username;
  expect(first('y,,n=a=2Cb=3Dc,r=x')).toBe('a,b=c');
  expect(first('n,a=user,n=user,r=x')).toBe('user');
  for (const text of [
    ...['', 'n,,', 'n,,n=user', 'n,,n=,r=x', 'n,,n=user,r=', 'x,,n=user,r=x', 'n,,m=1,n=user,r=x'],
    ...[
      'p=tls-unique,,n=user,r=x',
      'n,a=other,n=user,r=x',
      'n,,n=a=2cb,r=x',
      'n,,n=user,r=a\u0001',
    ],
  ]) {
    expect(first(text), text).toBeUndefined();
  }
});

test('a line for SCRAM serves for a plain login, too, however the password is written', async () => {
  const salt = Buffer.from('some salt');
  const line = await scramLine('anna', Buffer.from('ﬁrst Å'), { salt, iterations: 10 });
  const { passwords, problems } = parsePasswords(line);
  expect(problems).toEqual([]);
  const kept = passwords.get('anna')!;
  expect(await isPassword(kept, Buffer.from('first A\u030a'))).toBe(true);
  expect(await isPassword(kept, Buffer.from('first A'))).toBe(false);
});

const hmac = (key: Buffer, text: string) => createHmac('sha256', key).update(text).digest();

/** The client's final message, and the signature it then expects. */
function proofOf(serverFirst: string, bare: string, password: string, begin?: string) {
  const [, both, salt, rounds] = /^r=([^,]+),s=([^,]+),i=(\d+)$/.exec(serverFirst)!;
  const salted = pbkdf2Sync(password, Buffer.from(salt!, 'base64'), Number(rounds), 32, 'sha256');
  const key = hmac(salted, 'Client Key');
  const withoutProof = begin ?? `c=biws,r=${both}`;
  const signed = `${bare},${serverFirst},${withoutProof}`;
  const signature = hmac(createHash('sha256').update(key).digest(), signed);
  const proof = Buffer.from(key.map((byte, index) => byte ^ signature[index]!)).toString('base64');
  return {
    message: Buffer.from(`${withoutProof},p=${proof}`),
    expected: `v=${hmac(hmac(salted, 'Server Key'), signed).toString('base64')}`,
  };
}

test('a proof counts only for this exchange, and for what the client said at first', () => {
  const challenge = challengeOf(Buffer.from(clientFirst), nonce, exampleKeys)!;
  const bare = clientFirst.slice(3);
  const signed = (begin?: string) =>
    challenge.answer(proofOf(`${challenge.message}`, bare, 'pencil', begin).message);
  expect(signed()).toBeDefined();
  expect(signed('c=biws,r=another')).toBeUndefined();
  // The header of `y,,`.
  expect(signed(`c=eSws,r=rOprNGfwEbeRWgbNEkqO${nonce}`)).toBeUndefined();
});

const method = 'SCRAM-SHA-256';
const bareOf = (username: string) => `n=${username},r=clientnonce`;
const authPacket = (reasonCode: number, data: Buffer, authenticationMethod = method) =>
  ({
    cmd: 'auth',
    reasonCode,
    properties: { authenticationMethod, authenticationData: data },
  }) as never;

async function begin(port: number, username: string, more: object = {}): Promise<RawClient> {
  const client = await openRawClient(port, 5);
  const data = Buffer.from(`n,,${bareOf(username)}`);
  const properties = { authenticationMethod: method, authenticationData: data, ...more };
  client.send(connectPacket(5, { id: `client of ${username}`, properties }));
  return client;
}

async function openBroker(acl?: string) {
  const salt = Buffer.from('salt of anna');
  const users = [
    await scramLine('anna', Buffer.from('sésame'), { salt, iterations: 100 }),
    await userLine('ben', 'word'),
    await scramLine('carl', Buffer.from('word'), { salt, iterations: 100 }),
  ].join('\n');
  const auth = { passwordFile: 'users', ...(acl === undefined ? {} : { aclFile: 'acl' }) };
  return await openTestBroker({
    options: { auth },
    authFiles: authFiles({ users, ...(acl === undefined ? {} : { acl }) }),
  });
}

test('a client logs in by SCRAM-SHA-256, has the rights of its user, and does it again', async () => {
  const broker = await openBroker('user anna\ntopic write of/anna/#\n');
  const client = await begin(broker.port, 'anna');
  const asked = await client.next('auth');
  expect([asked.reasonCode, asked.properties?.authenticationMethod]).toEqual([0x18, method]);
  const serverFirst = `${asked.properties!.authenticationData}`;
  const { message, expected } = proofOf(serverFirst, bareOf('anna'), 'sésame');
  client.send(authPacket(0x18, message));
  const connack = await client.next('connack');
  expect(connack.reasonCode).toBe(0);
  expect(connack.properties?.authenticationMethod).toBe(method);
  expect(`${connack.properties?.authenticationData}`).toBe(expected);
  client.send(publishPacket('of/anna/x', '1', 1, 1), publishPacket('of/ben/x', '1', 1, 2));
  expect((await client.next('puback')).reasonCode ?? 0).toBe(0);
  expect((await client.next('puback')).reasonCode).toBe(0x87);
  expect(broker.messages.map(({ topic }) => topic)).toEqual(['of/anna/x']);
  expect(broker.source.listClients().map(({ username }) => username)).toEqual(['anna']);

  client.send(authPacket(0x19, Buffer.from(`n,,${bareOf('anna')}`)));
  const again = await client.next('auth');
  expect(again.reasonCode).toBe(0x18);
  const second = proofOf(`${again.properties!.authenticationData}`, bareOf('anna'), 'sésame');
  client.send(authPacket(0x18, second.message));
  const done = await client.next('auth');
  expect(done.reasonCode ?? 0).toBe(0);
  expect(`${done.properties!.authenticationData}`).toBe(second.expected);
  client.send(publishPacket('of/anna/y', '1', 1, 3));
  await client.next('puback');
});

test('who does not know the password is not let in, known or not, and must soon wait', async () => {
  const broker = await openBroker();
  for (const username of ['anna', 'ben', 'nobody']) {
    const client = await begin(broker.port, username);
    const serverFirst = `${(await client.next('auth')).properties!.authenticationData}`;
    expect(serverFirst).toMatch(/^r=clientnonce.{24},s=[^,]{16},i=100$/);
    client.send(authPacket(0x18, proofOf(serverFirst, bareOf(username), 'guess').message));
    expect((await client.next('connack')).reasonCode).toBe(0x87);
    await client.gone();
  }
  for (let n = 0; n < 4; n++) {
    const client = await begin(broker.port, 'anna');
    await client.next('auth');
    client.send(authPacket(0x18, Buffer.from('c=biws,r=x,p=x')));
    await client.gone();
  }
  const late = await begin(broker.port, 'anna');
  expect((await late.next('connack')).reasonCode).toBe(0x87);
  expect(broker.source.clients).toBe(0);
});

test('other methods, and SCRAM where nobody has its keys, are refused with 0x8C', async () => {
  const broker = await openBroker();
  const other = await begin(broker.port, 'anna', { authenticationMethod: 'GS2-KRB5' });
  expect((await other.next('connack')).reasonCode).toBe(0x8c);
  const open = await openTestBroker();
  const client = await begin(open.port, 'anna');
  expect((await client.next('connack')).reasonCode).toBe(0x8c);
});

test('nothing but the exchange may come before its end', async () => {
  const broker = await openBroker();
  const client = await begin(broker.port, 'anna');
  await client.next('auth');
  client.send(publishPacket('a', '1', 1));
  expect((await client.next('connack')).reasonCode).toBe(0x82);
  await client.gone();
  expect(broker.messages).toEqual([]);
  const early = await begin(broker.port, 'anna');
  await early.next('auth');
  early.send(authPacket(0x19, Buffer.from(`n,,${bareOf('anna')}`)));
  await early.gone();
});

test('a client that is connected cannot become somebody else', async () => {
  const broker = await openBroker();
  const client = await begin(broker.port, 'anna');
  const first = `${(await client.next('auth')).properties!.authenticationData}`;
  client.send(authPacket(0x18, proofOf(first, bareOf('anna'), 'sésame').message));
  await client.next('connack');
  client.send(authPacket(0x19, Buffer.from(`n,,${bareOf('carl')}`)));
  const second = `${(await client.next('auth')).properties!.authenticationData}`;
  client.send(authPacket(0x18, proofOf(second, bareOf('carl'), 'word').message));
  expect((await client.next('disconnect')).reasonCode).toBe(0x87);
  await client.gone();
});
