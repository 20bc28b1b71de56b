import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, type TestContext, test } from 'vitest';
import { ConfigError, lineOf } from '../../src/config/problem.ts';
import { runCommand } from './command-line.ts';

let folder: string;
const servers = new Set<Server>();
const sockets = new Set<Socket>();
beforeEach(() => {
  environment = {};
  folder = mkdtempSync(join(tmpdir(), 'tidegate-check-'));
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  for (const server of servers) await new Promise((resolve) => server.close(resolve));
  servers.clear();
  sockets.clear();
  rmSync(folder, { recursive: true });
});

const write = (text: string, name = 'tidegate.yaml') => writeFileSync(join(folder, name), text);
const check = (...given: string[]) => runCommand(['check', ...given], { cwd: folder, environment });
let environment: Record<string, string> = {};

/** The lines of everything that is wrong with the configuration. */
async function problems(...given: string[]): Promise<string[]> {
  const error = await check(...given).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ConfigError)) throw error ?? new Error('Nothing is wrong.');
  return error.problems.map(lineOf);
}

/** Listens and does with each connection what it is told. */
async function listen(answer: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    answer(socket);
  });
  servers.add(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

test('a valid configuration is said to be so, and nothing is made', async () => {
  write('sinks: { out: { kind: console } }');
  const { status, out, err } = await check();
  expect([status, out, err]).toEqual([0, `${join(folder, 'tidegate.yaml')} is valid.\n`, '']);
  expect(readdirSync(folder)).toEqual(['tidegate.yaml']);
  expect((await check('--config', 'tidegate.yaml')).status).toBe(0);
});

test('without a file the defaults are checked', async () => {
  const { status, out } = await check();
  expect([status, out]).toEqual([0, 'The default configuration is valid.\n']);
  expect(existsSync(join(folder, 'data'))).toBe(false);
});

test('a data folder that cannot be used is a failure', async () => {
  write('data: { dir: tidegate.yaml }');
  const { status, err } = await check();
  expect(status).toBe(1);
  expect(err).toContain(`The data folder ${join(folder, 'tidegate.yaml')} is not a folder.`);
  expect((await check('--data', 'elsewhere')).status).toBe(0);
});

test('secrets that are not there are named with their places', async () => {
  write(
    'sinks:\n  hook: { kind: http, url: "http://h", headers: { authorization: { env: NOT_SET } } }',
  );
  expect(await problems()).toEqual([
    expect.stringMatching(/^tidegate\.yaml:2:\d+: sinks\.hook\.headers\.authorization: .*NOT_SET/),
  ]);
});

function requireOpenssl(context: TestContext) {
  if (spawnSync('openssl', ['version']).status === 0) return;
  if (process.env.TIDEGATE_REQUIRE_SERVICES === '1') throw new Error('openssl is not installed.');
  console.log('skipped: openssl, which makes certificates, is not installed.');
  context.skip();
}

function makeCertificate(name: string, days: number): void {
  const given = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -days ${days} -keyout ${name}.key -out ${name}.pem`;
  const { status, stderr } = spawnSync('openssl', given.split(' '), { cwd: folder });
  if (status !== 0) throw new Error(String(stderr));
}

test('certificates and keys of TLS are read and must belong together', async (context) => {
  requireOpenssl(context);
  makeCertificate('a', 30);
  makeCertificate('b', 30);
  const listener = (tls: string) =>
    write(`broker:\n  listeners:\n    - { port: 8883, tls: ${tls} }\n`);
  listener('{ cert: a.pem, key: { file: a.key }, clientCa: b.pem }');
  expect((await check()).status).toBe(0);
  listener('{ cert: a.pem, key: { file: b.key } }');
  expect(await problems()).toEqual([
    expect.stringMatching(
      /^tidegate\.yaml:3:\d+: broker\.listeners\[0\]\.tls\.key: is not the key/,
    ),
  ]);
  listener('{ cert: a.key, key: { file: a.pem }, clientCa: missing.pem }');
  expect((await problems()).join('\n')).toMatch(
    /tls\.cert: does not hold a certificate in PEM.*\n.*tls\.key: does not hold a private key.*\n.*tls\.clientCa: .*missing\.pem/,
  );
});

test('--connect tries every sink and says which cannot be reached', async () => {
  const port = await listen((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'));
  mkdirSync(join(folder, 'data'));
  write(
    [
      'sinks:',
      '  out: { kind: console }',
      `  good: { kind: mqtt, url: "mqtt://127.0.0.1:1" }`,
      `  web: { kind: http, url: "http://127.0.0.1:${port}/" }`,
    ].join('\n'),
  );
  const { status, out, err } = await check('--connect');
  expect(status).toBe(1);
  expect(out).toMatch(/^out: ok \(\d+ ms\)$/m);
  expect(out).toMatch(/^web: ok \(\d+ ms\)$/m);
  expect(out).not.toContain('is valid');
  expect(err).toMatch(/^tidegate\.yaml:3:9: sinks\.good: .*ECONNREFUSED/m);
});

test('--connect waits five seconds for a sink that does not answer', async () => {
  const port = await listen(() => {});
  write(`sinks: { quiet: { kind: mqtt, url: "mqtt://127.0.0.1:${port}" } }`);
  const began = performance.now();
  const { status, err } = await check('--connect');
  expect(status).toBe(1);
  expect(err).toContain('sinks.quiet: no answer within 5 s');
  expect(performance.now() - began).toBeLessThan(8_000);
});

test('--connect makes the folder of a file sink, and says why it cannot', async () => {
  write('sinks: { files: { kind: file, path: new/archive } }');
  expect((await check()).status).toBe(0);
  expect(existsSync(join(folder, 'data'))).toBe(false);
  expect((await check('--connect')).status).toBe(0);
  expect(readdirSync(join(folder, 'data/new/archive'))).toEqual([]);
  write(
    `sinks:\n  a: { kind: file, path: /proc/nope }\n  b: { kind: file, path: ${join(folder, 'tidegate.yaml/x')} }`,
  );
  const { status, err } = await check('--connect');
  expect(status).toBe(1);
  expect(err).toMatch(
    /^tidegate\.yaml:2:6: sinks\.a: \/proc\/nope cannot be created.*choose another path\.$/m,
  );
  expect(err).toMatch(
    /^tidegate\.yaml:3:6: sinks\.b: .*tidegate\.yaml is not a folder\. .*another path\.$/m,
  );
});

test('what would keep it from running is a problem, whichever it is', async () => {
  environment = { TIDEGATE_LOG_LEVEL: 'nope', TIDEGATE_LOG_FORMAT: 'xml' };
  expect(await problems()).toEqual([
    'TIDEGATE_LOG_FORMAT: must be one of text, json, not "xml".',
    'TIDEGATE_LOG_LEVEL: must be one of error, warn, info, debug, not "nope".',
  ]);
});

test('problems come in the order of the file, of whatever sort they are', async () => {
  write(
    [
      'sinks:',
      '  up:',
      '    kind: mqtt',
      '    url: mqtts://up.example.com:8883',
      '    password: { file: upstream-password }',
      '    username: pi',
      '    tls:',
      '      ca: upstream-ca.pem',
      '      cert: pi.pem',
      '      key: { file: pi.key }',
      '  influx:',
      '    kind: influxdb',
      '    url: http://127.0.0.1:8086',
      '    token: { env: NOT_SET }',
      '    tokne: x',
      'ingest: [{ topic: a/#/b }]',
    ].join('\n'),
  );
  const places = (await problems()).map((line) => Number(/^tidegate\.yaml:(\d+):/.exec(line)?.[1]));
  expect(places).toEqual([5, 8, 9, 10, 11, 14, 15, 16]);
});

test('a mistake in a .proto is named with its file and line, one in the mapping with its own', async () => {
  const config = (codec: string) =>
    write(`ingest: [{ topic: 'p/{device}', codec: { kind: protobuf, ${codec} } }]`);
  const head = 'syntax = "proto3";\npackage p;\n';
  config('files: [p.proto], message: p.R');
  expect(await problems()).toEqual([
    'tidegate.yaml:1:66: ingest[0].codec.files[0]: there is no file p.proto. Correct the path.',
  ]);
  write(`${head}import "more/i.proto";\nmessage R { I i = 1; }`, 'p.proto');
  expect(await problems()).toEqual(['p.proto:3: imports more/i.proto, which is not there.']);
  mkdirSync(join(folder, 'more'));
  write(`${head}message I {\n  int32 x;\n}`, 'more/i.proto');
  expect(await problems()).toEqual(["more/i.proto:4: illegal token ';', '=' expected."]);
  write(`${head}message I {\n  int32 x = 1;\n}`, 'more/i.proto');
  expect((await check()).status).toBe(0);
  config('files: [p.proto], message: p.Reading');
  expect(await problems()).toEqual([
    'tidegate.yaml:1:85: ingest[0].codec.message: there is no message p.Reading; there are p.I, p.R.',
  ]);
});
