/** The servers of `catch-up.ts`, each with a sink that leads to it and somebody who listens to what arrives. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { cpus } from 'node:os';
import { connectAsync } from 'mqtt';
import { startInfluxDb } from '../services/influxdb.ts';
import { startMosquitto } from '../services/mosquitto.ts';

/** Where files are in memory: the server mostly is another machine, whose disk is not ours. */
const memory = '/dev/shm';
const rawEvents = 100_000;
const rawBatch = 5_000;
/** Messages in flight, of the sink as of the bare client. */
const mqttWindow = 100;
/** Whether the gateway can have a processor for itself. */
export const canPin = cpus().length > 1;

/** `leftAt` is when it had left the gateway, where that can be seen. */
export type OnLive = (seq: number, leftAt?: number) => void;

/** A server with a gateway in front of it. */
export interface Far {
  readonly name: string;
  /** The sink, in YAML. */
  readonly sink: string;
  /** It is away until `comeBack`. */
  goAway(): Promise<void>;
  comeBack(): Promise<void>;
  /** Calls `onLive` with the number of each live reading once the server has it. */
  listen(onLive: OnLive): Promise<void>;
  /** Events a second that a bare client gets into it. */
  raw(): Promise<number>;
  stop(): Promise<void>;
}

export async function openInflux(): Promise<Far> {
  const influx = await startInfluxDb({
    index: 'tsi1',
    ...(existsSync(memory) && { under: memory }),
  });
  if (canPin) spawn('taskset', ['-acp', '1', `${influx.pid}`], { stdio: 'ignore' });
  let onLive: OnLive = () => {};
  let isAway = false;
  // In front of the server, to see when it has answered.
  const proxy = createServer((incoming, response) => {
    const arrivedAt = performance.now();
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const { method, url, headers } = incoming;
      if (isAway) {
        response.writeHead(503).end();
        return;
      }
      const outgoing = request(`${influx.url}${url}`, { method, headers }, (answer) => {
        response.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(response);
        const body = Buffer.concat(chunks);
        if (!body.subarray(0, 20).includes('probe')) return;
        for (const [, seq] of body.toString().matchAll(/liveseq=(\d+)/g))
          onLive(Number(seq), arrivedAt);
      });
      outgoing.end(Buffer.concat(chunks));
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const { port } = proxy.address() as AddressInfo;
  await influx.query('CREATE DATABASE raw');
  return {
    name: 'InfluxDB',
    sink: `kind: influxdb, version: 1, url: 'http://127.0.0.1:${port}', database: bench, gzip: false, batch: { delayMs: 0 }`,
    async goAway() {
      isAway = true;
    },
    async comeBack() {
      isAway = false;
    },
    async listen(heard) {
      onLive = heard;
    },
    async raw() {
      const bodies: string[] = [];
      for (let from = 0; from < rawEvents; from += rawBatch) {
        let body = '';
        for (let n = from; n < from + rawBatch; n++) {
          const { temperature, humidity } = fieldsOf(n);
          const time = `${Date.now() - rawEvents + n}000000`;
          body += `climate,device=gh-${n % 100} temperature=${temperature},humidity=${humidity},missed=${n} ${time}\n`;
        }
        bodies.push(body);
      }
      const begun = performance.now();
      for (const body of bodies) {
        const answer = await fetch(`${influx.url}/write?db=raw&precision=n`, {
          method: 'POST',
          body,
        });
        if (answer.status !== 204) throw new Error(await answer.text());
      }
      return (rawEvents / (performance.now() - begun)) * 1_000;
    },
    async stop() {
      proxy.closeAllConnections();
      proxy.close();
      await influx.stop();
    },
  };
}

const fieldsOf = (n: number) => ({ temperature: 20 + (n % 100) / 10, humidity: 40 + (n % 50) });

export async function openMosquitto(): Promise<Far> {
  // Else its Nagle's algorithm, towards the listener here, is all that 99 of 100 show: 40 ms.
  const lines = [`max_inflight_messages ${mqttWindow}`, 'set_tcp_nodelay true'];
  const mosquitto = await startMosquitto({ lines });
  if (canPin) spawn('taskset', ['-acp', '1', `${mosquitto.pid}`], { stdio: 'ignore' });
  const client = await connectAsync(mosquitto.url, { protocolVersion: 4, reconnectPeriod: 50 });
  client.on('error', () => {});
  return {
    name: 'Mosquitto',
    sink: `kind: mqtt, url: '${mosquitto.url}', topic: 'up/{device}'`,
    async goAway() {
      await mosquitto.terminate();
    },
    async comeBack() {
      await mosquitto.restart();
      if (canPin) spawn('taskset', ['-acp', '1', `${mosquitto.pid}`], { stdio: 'ignore' });
    },
    async listen(heard) {
      client.on('message', (_topic, payload) => {
        heard(JSON.parse(payload.toString()).data.fields.liveseq);
      });
      // It is away: subscribes when it is back.
      client.on('connect', () => client.subscribe('up/live', { qos: 1 }));
    },
    async raw() {
      const payload = 'x'.repeat(320);
      let sent = 0;
      let done = 0;
      const begun = performance.now();
      await new Promise<void>((resolve, reject) => {
        const send = (): void => {
          client.publish(`raw/gh-${sent++ % 100}`, payload, { qos: 1 }, (error) => {
            if (error) reject(error);
            else if (++done === rawEvents) resolve();
            else if (sent < rawEvents) send();
          });
        };
        for (let n = 0; n < mqttWindow; n++) send();
      });
      return (rawEvents / (performance.now() - begun)) * 1_000;
    },
    async stop() {
      await client.endAsync(true);
      await mosquitto.stop();
    },
  };
}
