/** Every kind of source in one gateway, from its configuration alone. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { afterEach, describe, expect, test } from 'vitest';
import { available, eventually, freePort, temporaryFolder } from '../services/child.ts';
import { startMosquitto } from '../services/mosquitto.ts';
import { startSerialLine } from '../services/pty.ts';
import { metricsOf, type Program, ready, startProgram } from './process/program.ts';

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

interface Running {
  readonly program: Program;
  readonly admin: number;
  readonly broker: number;
  events(
    type: string,
  ): Promise<{ subject: string; data: { measurement?: string; fields?: unknown } }[]>;
  /** Readings that reached the file sink, as device, measurement and fields. */
  readings(): Promise<[string, string, unknown][]>;
  kill(): Promise<void>;
}

async function start(
  folder: string,
  sources: string,
  more = '',
  auth = 'auth: {}',
): Promise<Running> {
  const [broker, admin] = [await freePort(), await freePort()];
  const text = `
gateway: { id: gw }
broker: { listeners: [{ port: ${broker} }], ${auth} }
admin: { listen: '127.0.0.1:${admin}' }
sinks: { out: { kind: file, path: out } }
sources:
${sources}
${more}`;
  await writeFile(join(folder, 'tidegate.yaml'), text);
  const program = await startProgram('tidegate', ['run', '--data', join(folder, 'data')], {
    cwd: folder,
  });
  const kill = async (): Promise<void> => {
    program.child.kill('SIGKILL');
    await program.ended;
  };
  ends.push(kill);
  await ready(program, admin);
  const events: Running['events'] = async (type) => {
    const args = ['log', 'export', '--type', type, '--data', join(folder, 'data')];
    const exported = await startProgram('tidegate', args);
    await exported.ended;
    return exported.stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  };
  return {
    program,
    admin,
    kill,
    broker,
    events,
    async readings() {
      return (await events('reading')).map(({ subject, data }) => [
        subject,
        data.measurement!,
        data.fields,
      ]);
    },
  };
}

describe.runIf(available('socat') && available('mosquitto'))('sources beside the broker', () => {
  test("a board, the machine, somebody else's broker and HTTP, each from a few lines", async () => {
    const folder = await temporaryFolder('sources');
    const line = await startSerialLine();
    ends.push(() => line.stop());
    const mosquitto = await startMosquitto();
    ends.push(() => mosquitto.stop());
    const sources = `
  floor2: { kind: serial, path: ${line.port}, baudRate: 115200, framing: line, codec: json, measurement: climate, acknowledge: { safe: ok } }
  plant: { kind: mqtt, url: '${mosquitto.url}', topics: ['sensors/#'] }
  pi: { kind: system, every: 1s }`;
    const gateway = await start(folder, sources);
    await eventually(async () => {
      const metrics = await metricsOf(gateway.admin);
      for (const source of ['broker', 'floor2', 'plant', 'pi', 'http']) {
        expect(metrics.get(`tidegate_source_up{source="${source}"}`)).toBe(1);
      }
    });
    await line.send('{"temperature":21.5}\n');
    await eventually(() => expect(String(line.received())).toBe('ok\n'));
    const device = await connectAsync(mosquitto.url);
    ends.push(() => device.endAsync(true));
    await device.publishAsync('sensors/press-1/hydraulics', '{"bar":180}', { qos: 1 });
    const url = `http://127.0.0.1:${gateway.admin}/ingest/sensors/gh-07/climate`;
    const answer = await fetch(url, { method: 'POST', body: '{"temperature":31.2}' });
    expect(answer.status).toBe(204);

    await eventually(async () => {
      const readings = await gateway.readings();
      expect(readings).toContainEqual(['floor2', 'climate', { temperature: 21.5 }]);
      expect(readings).toContainEqual(['press-1', 'hydraulics', { bar: 180 }]);
      expect(readings).toContainEqual(['gh-07', 'climate', { temperature: 31.2 }]);
      expect(readings).toContainEqual([
        'gw',
        'system',
        expect.objectContaining({ uptime: expect.any(Number) }),
      ]);
    });
  });

  test('what was answered with 204 survives kill -9', async () => {
    const folder = await temporaryFolder('sources');
    const first = await start(folder, '  web: { kind: http, token: s3cret }');
    const url = `http://127.0.0.1:${first.admin}/ingest/sensors/gh-07/climate`;
    const headers = { authorization: 'Bearer s3cret' };
    const post = (n: number) =>
      fetch(url, { method: 'POST', headers, body: `{"n":${n}}` }).then(({ status }) => status);
    const kept: number[] = [];
    const posting = (async () => {
      for (let n = 0; n < 10_000; n++) if ((await post(n).catch(() => 0)) === 204) kept.push(n);
    })();
    await eventually(() => expect(kept.length).toBeGreaterThan(50));
    await first.kill();
    await posting;
    const second = await start(folder, '  web: { kind: http, token: s3cret }');
    const numbers = (await second.readings()).map(([, , fields]) => (fields as { n: number }).n);
    expect(numbers).toEqual(expect.arrayContaining(kept));
    expect(
      (
        await fetch(url.replace(`:${first.admin}`, `:${second.admin}`), {
          method: 'POST',
          body: '1',
        })
      ).status,
    ).toBe(401);
  }, 120_000);

  test('the same CloudEvent twice is one reading, also across a kill', async () => {
    const folder = await temporaryFolder('sources');
    const sources = '  web: { kind: http }';
    const first = await start(folder, sources);
    const event = {
      ...{ specversion: '1.0', id: '7', source: '/plc/3', type: 'example.measured' },
      ...{ subject: 'gh-09', data: { temperature: 20 } },
    };
    const send = async ({ admin }: Running) =>
      await fetch(`http://127.0.0.1:${admin}/ingest/plc/climate`, {
        method: 'POST',
        headers: { 'content-type': 'application/cloudevents+json' },
        body: JSON.stringify(event),
      }).then(({ status }) => status);
    expect([await send(first), await send(first)]).toEqual([204, 204]);
    await first.kill();
    const second = await start(folder, sources);
    expect(await send(second)).toBe(204);
    expect(await second.readings()).toEqual([['gh-09', 'climate', { temperature: 20 }]]);
  });

  test('a board that is not there keeps nobody from starting, and is taken up when it comes', async () => {
    const folder = await temporaryFolder('sources');
    const line = await startSerialLine();
    ends.push(() => line.stop());
    await line.unplug();
    const gateway = await start(
      folder,
      `  floor2: { kind: serial, path: ${line.port}, measurement: climate }`,
    );
    await eventually(() => expect(gateway.program.stderr).toContain('There is no device'));
    await line.plug();
    await eventually(async () => {
      expect((await metricsOf(gateway.admin)).get('tidegate_source_up{source="floor2"}')).toBe(1);
    });
    await line.send('temperature 21.5\n21.5\n');
    await eventually(async () => expect((await gateway.readings()).length).toBeGreaterThan(0));
  });

  test('a command is in the log before it goes to the board, from who may send one', async () => {
    const folder = await temporaryFolder('sources');
    const line = await startSerialLine();
    ends.push(() => line.stop());
    await writeFile(
      join(folder, 'acl'),
      'topic readwrite sensors/#\ntopic write tidegate/commands/#\n',
    );
    const auth = `auth: { aclFile: ${join(folder, 'acl')} }`;
    const gateway = await start(
      folder,
      `  floor2: { kind: serial, path: ${line.port}, codec: text }`,
      '',
      auth,
    );
    await eventually(() => expect(gateway.program.stderr).toContain('The port is open.'));
    const operator = await connectAsync(`mqtt://127.0.0.1:${gateway.broker}`);
    ends.push(() => operator.endAsync(true));
    await operator.publishAsync('tidegate/commands/floor2', 'fan on', { qos: 1 });
    await eventually(() => expect(String(line.received())).toBe('fan on\n'));
    const commands = await gateway.events('command');
    expect(commands).toMatchObject([
      { subject: 'floor2', data: { name: 'send', payload: 'fan on' } },
    ]);
  });

  test('Telegraf as it is sends line protocol', async () => {
    const folder = await temporaryFolder('sources');
    const gateway = await start(folder, '  web: { kind: http }');
    const body =
      'cpu,host=pi usage_idle=97.5,usage_user=1.5 1763733600000000000\nmem,host=pi used=42i 1763733600000000000\n';
    const answer = await fetch(`http://127.0.0.1:${gateway.admin}/ingest/telegraf`, {
      method: 'POST',
      headers: { 'content-type': 'text/plain; charset=utf-8', 'user-agent': 'Telegraf' },
      body,
    });
    expect(answer.status).toBe(204);
    const readings = await gateway.readings();
    expect(readings.map(([, measurement, fields]) => [measurement, fields])).toEqual([
      ['cpu', { usage_idle: 97.5, usage_user: 1.5 }],
      ['mem', { used: 42 }],
    ]);
  });

  test('what a source is told wrongly is said with its place', async () => {
    const folder = await temporaryFolder('sources');
    const wrong = `sources:
  floor2: { kind: serial, path: /dev/ttyUSB0, framing: { kind: fixed } }
  broker: { kind: system }
  plant: { kind: modbus, url: 'tcp://10.0.0.9', devices: { pump: { registers: { t: { address: 70000 } } } } }
  other: { kind: serial, path: /dev/ttyUSB1, device: '{nobody}' }
`;
    await writeFile(join(folder, 'tidegate.yaml'), wrong);
    const check = await startProgram('tidegate', ['check'], { cwd: folder });
    expect((await check.ended).code).toBe(78);
    expect(check.stderr).toContain('tidegate.yaml:2:');
    for (const path of ['framing', 'broker', 'address', 'other.device'])
      expect(check.stderr).toContain(path);
    expect(await readFile(join(folder, 'tidegate.yaml'), 'utf8')).toBe(wrong);
  });
});
