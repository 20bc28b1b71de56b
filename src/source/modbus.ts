import type { Clock } from '../platform/clock.ts';
import { messageOf } from '../platform/errors.ts';
import { within } from '../platform/within.ts';
import { type ModbusOptions, modbusOptions } from './modbus-options.ts';
import { isBits, type Register, type Span, spansOf, valueText } from './modbus-registers.ts';
import type { Message, Source } from './source.ts';
import type { SourceKind, SourceParts } from './source-kind.ts';

type Client = import('modbus-serial').default;

interface Device {
  readonly name: string;
  readonly unit: number;
  spans: readonly Span[];
  /** What was wrong the last time, so that it is said once. */
  problem?: string;
  /** Rounds in a row in which nothing came of it. */
  failures: number;
  /** On a serial line: until when what it did not answer in time may still come. */
  lateUntil: number;
}

const tcpPort = 502;
const connectMaxMs = 5_000;
const closeMaxMs = 500;
/** So often nobody may answer before the connection is taken for dead, or out of step. */
const deafRoundsMax = 2;
/** Somebody who has plugged an adapter in again waits for it. */
const rtuRetryMaxMs = 5_000;
/** "Illegal data address": the device does not have all that was asked for (clause 7). */
const illegalAddress = 2;

/** Devices on a Modbus line, asked for their registers again and again. */
export const modbusKind: SourceKind<typeof modbusOptions> = {
  options: modbusOptions,
  mapping: ({ name }) => ({ topic: `${name}/{device}`, device: '{device}', codec: 'json' }),
  create: createModbusSource,
};

function createModbusSource(options: ModbusOptions, parts: SourceParts): Source {
  const { name, clock, logger } = parts;
  const isTcp = options.url.startsWith('tcp:');
  const devices = Object.entries(options.devices).map(([device, { unit, registers }]): Device => {
    const all = Object.entries(registers).map(([field, each]) => ({ ...each, field }));
    return { name: device, unit, spans: spansOf(all as Register[]), failures: 0, lateUntil: 0 };
  });
  return {
    name,
    mayBeAway: true,
    ...(isTcp ? {} : { retryMaxMs: rtuRetryMaxMs }),
    async run(ingest, signal, opened) {
      let deafRounds = 0;
      const client = await open(options, clock, signal);
      try {
        opened();
        logger.info({ source: name, url: options.url }, 'The line is open.');
        for (;;) {
          const began = clock.monotonic();
          const messages = await ask(client, devices, options, parts, signal);
          if (messages.length > 0) await ingest(messages);
          signal.throwIfAborted();
          if (!client.isOpen) throw new Error(`The connection to ${options.url} is closed.`);
          // Whoever answers nonsense makes a stream useless to all others, and one whose far side is
          // gone without a word looks like any other.
          deafRounds = devices.some(({ failures }) => failures === 0) ? 0 : deafRounds + 1;
          if (isTcp && deafRounds >= deafRoundsMax) {
            devices.push(devices.shift()!);
            throw new Error(`No device answers by ${options.url}: it is connected to anew.`);
          }
          const left = options.every - (clock.monotonic() - began);
          await clock.sleep(Math.max(0, left), signal);
        }
      } catch (error) {
        if (!signal.aborted) throw error;
      } finally {
        await close(client, clock);
      }
    },
  };
}

async function open(options: ModbusOptions, clock: Clock, signal: AbortSignal): Promise<Client> {
  // What its types say of a default export holds for bundlers only.
  const { default: Library } = await import('modbus-serial');
  signal.throwIfAborted();
  const client = new (Library as unknown as new () => Client)();
  client.on('error', () => undefined);
  client.setTimeout(options.timeout);
  const url = new URL(options.url);
  const connecting =
    url.protocol === 'tcp:'
      ? client.connectTCP(url.hostname.replace(/^\[(.*)\]$/, '$1'), {
          port: url.port === '' ? tcpPort : Number(url.port),
        })
      : client.connectRTUBuffered(decodeURI(url.pathname), {
          baudRate: options.baudRate,
          parity: options.parity,
          stopBits: options.stopBits,
        });
  const over = new AbortController();
  const late = clock.sleep(connectMaxMs, AbortSignal.any([signal, over.signal])).then(() => {
    throw new Error(`no connection within ${connectMaxMs} ms`);
  });
  try {
    await Promise.race([connecting, late]);
    return client;
  } catch (error) {
    await close(client, clock);
    throw new Error(`${options.url}: ${messageOf(error)}`, { cause: error });
  } finally {
    over.abort(new Error('It is over.'));
    late.catch(() => undefined);
    connecting.catch(() => undefined);
  }
}

/** One round; a device that does not answer keeps nobody else from being asked, and is asked last. */
async function ask(
  client: Client,
  devices: readonly Device[],
  { url, timeout }: ModbusOptions,
  parts: SourceParts,
  signal: AbortSignal,
): Promise<Message[]> {
  const { name, clock, logger } = parts;
  const messages: Message[] = [];
  for (const device of [...devices].sort((a, b) => a.failures - b.failures)) {
    if (signal.aborted || !client.isOpen) break;
    const about = { source: name, device: device.name };
    // On a serial line an answer does not say which question it is to.
    const sameUnit = devices.filter(({ unit }) => unit === device.unit);
    const lateMs = Math.max(...sameUnit.map((each) => each.lateUntil)) - clock.monotonic();
    if (lateMs > 0) await clock.sleep(lateMs, signal);
    const { texts, problem, answered, isLate } = await askDevice(client, device);
    device.failures = answered ? 0 : device.failures + 1;
    if (isLate && url.startsWith('rtu:')) device.lateUntil = clock.monotonic() + timeout;
    if (texts.length > 0) {
      const payload = Buffer.from(`{${texts.join(',')}}`);
      messages.push({ topic: `${name}/${device.name}`, payload, receivedAt: clock.now() });
    }
    if (problem !== undefined && problem !== device.problem) {
      logger.warn({ ...about, error: problem }, 'A device does not answer as it should.');
    } else if (problem === undefined && device.problem !== undefined) {
      logger.info(about, 'The device answers again.');
    }
    if (problem === undefined) delete device.problem;
    else device.problem = problem;
  }
  return messages;
}

async function askDevice(client: Client, device: Device) {
  const texts: string[] = [];
  let problem: string | undefined;
  let answered = false;
  let isLate = false;
  client.setID(device.unit);
  for (const span of device.spans) {
    try {
      const bytes = await read(client, span);
      answered = true;
      for (const register of span.registers) {
        const value = valueText(register, span, bytes);
        if (value !== undefined) texts.push(`${JSON.stringify(register.field)}:${value}`);
      }
    } catch (error) {
      problem = problemOf(error, span);
      const code = (error as { modbusCode?: number }).modbusCode;
      answered ||= code !== undefined;
      if (code === illegalAddress && span.registers.length > 1) {
        // It does not have what lies between, or not all of it: from now on one by one.
        device.spans = device.spans.flatMap((each) =>
          each === span ? each.registers.flatMap((register) => spansOf([register])) : [each],
        );
      } else if (code === undefined) {
        isLate = true;
        break;
      }
    }
  }
  return { texts, problem, answered, isLate };
}

function problemOf(error: unknown, { table, address, length }: Span): string {
  const range = length === 1 ? `${address}` : `${address} to ${address + length - 1}`;
  const { name, message } = error as Error;
  if (error instanceof RangeError) return `${table} ${range}: the answer is shorter than it says`;
  return `${table} ${range}: ${message || name}`;
}

async function read(client: Client, { table, address, length }: Span): Promise<Buffer> {
  const { buffer } = await (table === 'coil'
    ? client.readCoils(address, length)
    : table === 'discrete'
      ? client.readDiscreteInputs(address, length)
      : table === 'input'
        ? client.readInputRegisters(address, length)
        : client.readHoldingRegisters(address, length));
  const bytes = isBits(table) ? Math.ceil(length / 8) : 2 * length;
  if (buffer.length >= bytes) return buffer;
  throw new Error(`answered ${buffer.length} bytes instead of ${bytes}`);
}

async function close(client: Client, clock: Clock): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    if (client.isOpen) client.close(() => resolve());
    else client.destroy(() => resolve());
  });
  await within(closed, closeMaxMs, clock);
}
