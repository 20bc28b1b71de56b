import type { SerialPort } from 'serialport';
import { createFramer, type FramingOptions } from '../../src/source/serial-framing.ts';
import { serialOptions } from '../../src/source/serial-options.ts';
import type { DeviceMessage } from '../device.ts';
import type { Link, LinkEvents, Sent, Transport } from './link.ts';

export interface SerialLinkOptions {
  readonly path: string;
  readonly baudRate: number;
  readonly framing: FramingOptions;
  /** What the far side writes for a message that is on its disk; the oldest one is meant. */
  readonly acknowledge?: string;
}

const frameBytesMax = 65_536;

/** `serial:/dev/ttyUSB0?baudRate=115200&framing=cobs&checksum=crc16-ccitt&acknowledge=OK` */
export function serialOptionsOf(url: string): SerialLinkOptions {
  const [path = '', query = ''] = url.replace(/^serial:(\/\/(?=\/))?/, '').split('?');
  const given = new URLSearchParams(query);
  const known = ['baudRate', 'framing', 'checksum', 'bytes', 'acknowledge'];
  const other = [...given.keys()].find((key) => !known.includes(key));
  if (path === '' || other !== undefined) {
    const what = other === undefined ? 'no port' : `an unknown part, ${other}`;
    throw new Error(`${url} has ${what}; write serial:/dev/ttyUSB0?baudRate=9600&framing=line`);
  }
  const kind = given.get('framing') ?? 'line';
  const checksum = given.has('checksum') ? { checksum: given.get('checksum') } : {};
  const bytes = given.has('bytes') ? { bytes: Number(given.get('bytes')) } : {};
  // With what the gateway takes, and what it takes them for.
  const parsed = serialOptions.safeParse({
    path,
    ...(given.has('baudRate') ? { baudRate: Number(given.get('baudRate')) } : {}),
    framing: { kind, ...checksum, ...bytes },
  });
  if (!parsed.success) {
    throw new Error(
      `${url}: ${parsed.error.issues[0]!.path.join('.')} is not what a port can have.`,
    );
  }
  const { baudRate, framing } = parsed.data;
  const acknowledge = given.get('acknowledge');
  return { path, baudRate, framing, ...(acknowledge === null ? {} : { acknowledge }) };
}

/** A board on a serial line: its messages have no topics, and one after the other is written. */
export function serialTransport(options: SerialLinkOptions): Transport {
  return {
    name: 'serial',
    acknowledges: options.acknowledge !== undefined,
    single: true,
    open: (_, events) => openSerialLink(options, events),
  };
}

function openSerialLink(options: SerialLinkOptions, events: LinkEvents): Link {
  const { path, baudRate, acknowledge } = options;
  const framer = createFramer(options.framing, frameBytesMax);
  const heard = acknowledge === undefined ? undefined : Buffer.from(acknowledge);
  const inFlight: Sent[] = [];
  let port: SerialPort | undefined;
  let ended = false;
  let wasConnected = false;
  let rest = Buffer.alloc(0);

  const finish = (error?: Error): void => {
    if (ended) return;
    ended = true;
    if (port?.isOpen === true) port.close(() => undefined);
    events.closed(
      inFlight.splice(0).map(({ message }) => message),
      error,
    );
  };
  const settle = (): void => {
    const sent = inFlight.shift();
    if (sent !== undefined) events.acknowledged(sent.message, sent.startedAt);
  };
  const received = (bytes: Buffer): void => {
    if (heard === undefined) return;
    rest = Buffer.concat([rest, bytes]);
    for (let at = rest.indexOf(heard); at >= 0; at = rest.indexOf(heard)) {
      rest = rest.subarray(at + heard.length);
      settle();
    }
    rest = Buffer.from(rest.subarray(-heard.length));
  };
  const open = async (): Promise<void> => {
    const { SerialPort } = await import('serialport');
    if (ended) return;
    port = new SerialPort({ path, baudRate, lock: false, autoOpen: false });
    port.on('data', received);
    port.on('error', finish);
    port.on('close', () => finish(new Error(`${path} is gone.`)));
    port.open((error) => {
      if (error !== null) return finish(error);
      if (ended) return port?.close(() => undefined);
      wasConnected = true;
      events.connected();
    });
  };
  open().catch(finish);
  return {
    get wasConnected() {
      return wasConnected;
    },
    get room() {
      return wasConnected && !ended ? 4 - inFlight.length : 0;
    },
    send(message: DeviceMessage, startedAt: number) {
      inFlight.push({ message, startedAt });
      port?.write(framer.encode(message.payload), (error) => {
        if (error) finish(error);
        else if (heard === undefined && !ended) settle();
      });
    },
    tend() {},
    close: () => finish(),
    destroy: () => finish(),
    abandon: () => finish(),
  };
}
