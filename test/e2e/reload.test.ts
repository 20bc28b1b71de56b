/** The real gateway is told by SIGHUP that the files of its users and rights have changed. */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { IConnectPacket } from 'mqtt-packet';
import { afterEach, expect, test } from 'vitest';
import { userLine } from '../broker/auth-files.ts';
import { subscribe } from '../broker/delivery-clients.ts';
import {
  connectPacket,
  openRawClient,
  publishPacket,
  type RawClient,
  stopAll,
} from '../broker/harness.ts';
import { eventually, freePort, temporaryFolder } from '../services/child.ts';
import { ready, startProgram } from './process/program.ts';

interface Said {
  readonly disconnected?: number;
  readonly error?: { readonly code: string; readonly message: string };
}

afterEach(stopAll);

const usersOf = async (users: Readonly<Record<string, string>>): Promise<string> => {
  const lines = await Promise.all(
    Object.entries(users).map(async ([name, word]) => await userLine(name, word)),
  );
  return `${lines.join('\n')}\n`;
};

async function login(
  port: number,
  username: string,
  word: string,
): Promise<{ code: number | undefined; client: RawClient }> {
  const client = await openRawClient(port, 5);
  const packet = connectPacket(5, { id: `${username}-${word}` }) as IConnectPacket;
  client.send({ ...packet, username, password: Buffer.from(word) });
  return { code: (await client.next('connack')).reasonCode, client };
}

/** The code that a message is acknowledged with. */
async function publish(client: RawClient, topic: string): Promise<number> {
  client.send(publishPacket(topic, '1', 1, 7));
  return (await client.next('puback')).reasonCode ?? 0;
}

test('after a SIGHUP, or when asked by HTTP, the users and rights of the files count, also for who is connected', async () => {
  const folder = await temporaryFolder('reload');
  const [port, adminPort] = [await freePort(), await freePort()];
  const put = (name: string, text: string) => writeFile(join(folder, name), text);
  await put(
    'tidegate.yaml',
    `gateway: { id: reload }
data: { dir: data }
broker:
  listeners: [{ port: ${port}, host: 127.0.0.1 }]
  auth: { passwordFile: users, aclFile: acl }
admin: { listen: '127.0.0.1:${adminPort}' }
`,
  );
  await put('users', await usersOf({ anna: 'a', ben: 'b', cleo: 'c' }));
  await put('acl', 'pattern readwrite old/#\n');
  const program = await startProgram('tidegate', ['run'], { cwd: folder });
  const reload = async (words: string): Promise<void> => {
    const before = program.stderr.length;
    program.child.kill('SIGHUP');
    await eventually(() => expect(program.stderr.slice(before)).toContain(words));
  };
  const post = async () => {
    const address = `http://127.0.0.1:${adminPort}/api/v1/reload`;
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(address, { method: 'POST', headers });
    return { status: answer.status, said: (await answer.json()) as Said };
  };
  try {
    await ready(program, adminPort);
    const [anna, ben, cleo] = [
      (await login(port, 'anna', 'a')).client,
      (await login(port, 'ben', 'b')).client,
      (await login(port, 'cleo', 'c')).client,
    ];
    await subscribe(anna, '#');
    expect(await publish(anna, 'old/a')).toBe(0);
    await anna.next('publish');
    expect(await publish(anna, 'new/a')).toBe(0x87);

    // Ben is gone, Cleo has another password, Dora is new.
    await put('users', await usersOf({ anna: 'a', cleo: 'other', dora: 'd' }));
    await put('acl', 'pattern readwrite new/#\n');
    await reload('Users and rights were read again. disconnected=2');
    for (const client of [ben, cleo]) {
      expect((await client.next('disconnect')).reasonCode).toBe(0x87);
      await client.gone();
    }
    expect(await publish(anna, 'old/a')).toBe(0x87);
    expect(await publish(anna, 'new/a')).toBe(0);
    expect((await anna.next('publish')).topic).toBe('new/a');
    expect((await login(port, 'ben', 'b')).code).toBe(0x86);
    expect((await login(port, 'cleo', 'c')).code).toBe(0x86);
    expect((await login(port, 'cleo', 'other')).code).toBe(0);
    const dora = await login(port, 'dora', 'd');
    expect(dora.code).toBe(0);

    // Neither file counts when one has a mistake.
    await put('users', await usersOf({ anna: 'a' }));
    await put('acl', 'pattern readwrite other/#\nfoo\n');
    await reload('Users and rights stay as they were');
    expect(program.stderr).toMatch(/acl:\d+:\d+/);
    expect(await publish(anna, 'new/a')).toBe(0);
    expect(dora.client.closed).toBe(false);
    await rm(join(folder, 'users'));
    await reload('there is no file users');
    expect(dora.client.closed).toBe(false);
    expect(await publish(dora.client, 'new/b')).toBe(0);

    // By HTTP the same, and whoever asks is told.
    const refused = await post();
    expect([refused.status, refused.said.error?.code]).toEqual([422, 'GW_RELOAD_REFUSED']);
    expect(refused.said.error?.message).toContain('there is no file users');
    await put('users', await usersOf({ anna: 'a' }));
    await put('acl', 'pattern readwrite new/#\n');
    expect(await post()).toEqual({ status: 200, said: { disconnected: 2 } });
    expect((await dora.client.next('disconnect')).reasonCode).toBe(0x87);
    expect(await publish(anna, 'new/c')).toBe(0);

    program.child.kill('SIGTERM');
    expect((await program.ended).code).toBe(0);
  } finally {
    program.child.kill('SIGKILL');
    await program.ended;
    await rm(folder, { recursive: true, force: true });
  }
}, 60_000);
