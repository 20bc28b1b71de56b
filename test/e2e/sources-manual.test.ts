/** Every configuration of `docs/sources.md` is run against the real thing, and yields what it shows. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { available, eventually, freePort, temporaryFolder } from '../services/child.ts';
import { hasPymodbus, modbusServer } from '../services/modbus.ts';
import { startMosquitto } from '../services/mosquitto.ts';
import { startSerialLine } from '../services/pty.ts';
import { ready, startProgram } from './process/program.ts';

const manual = readFileSync(join(import.meta.dirname, '../../docs/sources.md'), 'utf8');
const sections = new Map(
  manual
    .split(/^## /m)
    .slice(1)
    .map((section) => [section.slice(0, section.indexOf('\n')), section]),
);
function block(section: string, language: string): string {
  return new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'ms').exec(sections.get(section)!)![1]!;
}

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** The gateway with the configuration of a section, in which `change` has put the real addresses. */
async function start(
  section: string,
  change: (sources: Record<string, object>) => void = () => {},
) {
  const folder = await temporaryFolder('manual');
  const admin = await freePort();
  const config = parse(block(section, 'yaml'));
  change(config.sources);
  config.broker = { listeners: [{ port: await freePort() }] };
  config.admin = { listen: `127.0.0.1:${admin}` };
  await writeFile(join(folder, 'tidegate.yaml'), stringify(config));
  for (const name of ['plant-password', 'ingest-token'])
    await writeFile(join(folder, name), 's3cret\n');
  await mkdir(join(folder, 'data'));
  const program = await startProgram('tidegate', ['run', '--data', 'data'], { cwd: folder });
  ends.push(async () => {
    program.child.kill('SIGKILL');
    await program.ended;
  });
  await ready(program, admin);
  const readings = async () => {
    const args = ['log', 'export', '--type', 'reading', '--data', join(folder, 'data')];
    const exported = await startProgram('tidegate', args);
    await exported.ended;
    const lines = exported.stdout.split('\n').filter((line) => line !== '');
    return lines.map((line) => {
      const { subject, data } = JSON.parse(line);
      return { device: subject, measurement: data.measurement, fields: data.fields };
    });
  };
  return {
    admin,
    program,
    /** Resolves when the readings begin with those that the section shows. */
    async shown() {
      const expected = JSON.parse(block(section, 'json')) as unknown[];
      await eventually(async () => {
        expect((await readings()).slice(0, expected.length)).toEqual(expected);
      }, 15_000);
    },
    readings,
  };
}

describe.runIf(available('socat'))('on a pseudo-terminal', () => {
  test('serial', async () => {
    const line = await startSerialLine();
    ends.push(() => line.stop());
    const { shown, program } = await start('serial', (sources) =>
      Object.assign(sources.floor2!, { path: line.port }),
    );
    await eventually(() => expect(program.stderr).toContain('The port is open.'));
    await line.send(block('serial', 'text'));
    await eventually(() => expect(String(line.received())).toBe('ok\n'));
    await shown();
  });
});

test.runIf(hasPymodbus())('modbus', async () => {
  const { url, service } = await modbusServer('tcp');
  ends.push(() => service.stop());
  const { shown } = await start('modbus', (sources) => Object.assign(sources.plant!, { url }));
  await shown();
});

test.runIf(available('mosquitto'))('mqtt', async () => {
  const mosquitto = await startMosquitto({
    user: { username: 'greenhouse-pi', password: 's3cret' },
  });
  ends.push(() => mosquitto.stop());
  const { shown, program } = await start('mqtt', (sources) =>
    Object.assign(sources.plant!, { url: mosquitto.url }),
  );
  await eventually(() => expect(program.stderr).toContain('Subscribed.'));
  const [, topic, payload] = /-t (\S+) -m '([^']+)'/.exec(block('mqtt', 'sh'))!;
  const login = ['-u', 'greenhouse-pi', '-P', 's3cret', '-p', `${mosquitto.port}`];
  execFileSync('mosquitto_pub', [...login, '-t', topic!, '-m', payload!, '-q', '1']);
  await shown();
});

test('http', async () => {
  const { admin, shown } = await start('http');
  const command = /-H '(\S+): ([^']+)' -d '([^']+)' (\S+)/.exec(block('http', 'sh'))!;
  const [, header, value, body, url] = command as unknown as string[];
  const answer = await fetch(url!.replace(':8080', `:${admin}`), {
    method: 'POST',
    headers: { [header!]: value! },
    body: body!,
  });
  expect(answer.status).toBe(204);
  await shown();
});

test('system: every field that can be is named in the manual', async () => {
  const { readings } = await start('system');
  const [reading] = await eventually(async () => {
    const all = await readings();
    expect(all.length).toBeGreaterThan(0);
    return all;
  });
  expect(reading).toMatchObject({ measurement: 'system' });
  for (const field of Object.keys(reading!.fields)) {
    expect(sections.get('system')).toContain(`\`${field}\``);
  }
});
