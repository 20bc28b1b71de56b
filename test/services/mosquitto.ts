import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  connectable,
  freePort,
  type RunningService,
  startService,
  temporaryFolder,
} from './child.ts';

const run = promisify(execFile);

export interface Mosquitto extends RunningService {
  readonly port: number;
  readonly url: string;
  /** With `websocket: true`. */
  readonly websocketUrl: string;
  /** With `tls: true`: the address and the authority that signed the server's certificate. */
  readonly tlsUrl: string;
  readonly caFile: string;
  readonly clientCertFile: string;
  readonly clientKeyFile: string;
}

export interface MosquittoOptions {
  /** Refuses everybody else when given. */
  readonly user?: { readonly username: string; readonly password: string };
  /** Lines of an access list in Mosquitto's own format. */
  readonly acl?: readonly string[];
  readonly websocket?: boolean;
  /** `mutual` also asks clients for a certificate. */
  readonly tls?: boolean | 'mutual';
  /** Further lines of mosquitto.conf, for instance `max_packet_size 2000`. */
  readonly lines?: readonly string[];
}

/** Starts a real Mosquitto. Ask `available('mosquitto')` first. */
export async function startMosquitto(options: MosquittoOptions = {}): Promise<Mosquitto> {
  const folder = await temporaryFolder('mosquitto');
  const port = await freePort();
  const websocketPort = options.websocket ? await freePort() : 0;
  const tlsPort = options.tls ? await freePort() : 0;
  await mkdir(join(folder, 'data'));
  const lines = [
    'per_listener_settings false',
    'user root',
    'persistence true',
    `persistence_location ${folder}/data/`,
    'autosave_interval 1',
    'log_dest stderr',
    `allow_anonymous ${options.user === undefined}`,
    ...(options.lines ?? []),
  ];
  if (options.user !== undefined) {
    const { username, password } = options.user;
    await run('mosquitto_passwd', ['-b', '-c', join(folder, 'users'), username, password]);
    lines.push(`password_file ${folder}/users`);
  }
  if (options.acl !== undefined) {
    await writeFile(join(folder, 'acl'), `${options.acl.join('\n')}\n`);
    lines.push(`acl_file ${folder}/acl`);
  }
  lines.push(`listener ${port} 127.0.0.1`);
  if (options.websocket) lines.push(`listener ${websocketPort} 127.0.0.1`, 'protocol websockets');
  if (options.tls) {
    await makeCertificates(folder);
    lines.push(
      `listener ${tlsPort} 127.0.0.1`,
      `cafile ${folder}/ca.crt`,
      `certfile ${folder}/server.crt`,
      `keyfile ${folder}/server.key`,
      `require_certificate ${options.tls === 'mutual'}`,
    );
  }
  await writeFile(join(folder, 'mosquitto.conf'), `${lines.join('\n')}\n`);
  const service = await startService({
    name: 'Mosquitto',
    program: 'mosquitto',
    args: ['-c', join(folder, 'mosquitto.conf')],
    folder,
    probe: async () => {
      for (const each of [port, websocketPort, tlsPort]) if (each !== 0) await connectable(each);
    },
  });
  return Object.assign(service, {
    port,
    url: `mqtt://127.0.0.1:${port}`,
    websocketUrl: `ws://127.0.0.1:${websocketPort}`,
    tlsUrl: `mqtts://127.0.0.1:${tlsPort}`,
    caFile: join(folder, 'ca.crt'),
    clientCertFile: join(folder, 'client.crt'),
    clientKeyFile: join(folder, 'client.key'),
  });
}

/** `ca`, `server` and `client`, each as `.crt` and `.key`, for 127.0.0.1 and localhost. */
export async function makeCertificates(folder: string): Promise<void> {
  const openssl = async (...args: string[]) => await run('openssl', args, { cwd: folder });
  const key = async (name: string) =>
    await openssl('ecparam', '-genkey', '-name', 'prime256v1', '-noout', '-out', `${name}.key`);
  await key('ca');
  await openssl(
    ...['req', '-x509', '-new', '-key', 'ca.key', '-subj', '/CN=Test CA', '-days', '3650'],
    ...['-out', 'ca.crt', '-addext', 'basicConstraints=critical,CA:TRUE'],
  );
  await writeFile(join(folder, 'names'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
  for (const name of ['server', 'client']) {
    await key(name);
    await openssl('req', '-new', '-key', `${name}.key`, '-subj', `/CN=${name}`, '-out', 'csr');
    await openssl(
      ...['x509', '-req', '-in', 'csr', '-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial'],
      ...['-days', '3650', '-extfile', 'names', '-out', `${name}.crt`],
    );
  }
}
