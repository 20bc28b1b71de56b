import type { SerialPort } from 'serialport';
import type { Clock } from '../platform/clock.ts';
import { type IdentifyDevice, identifyDevice } from '../platform/device-file.ts';
import { messageOf } from '../platform/errors.ts';
import { within } from '../platform/within.ts';
import { createFramer, type Frame } from './serial-framing.ts';
import { idleMsOf, type SerialOptions, serialOptions } from './serial-options.ts';
import type { Ingest, Message, Source } from './source.ts';
import type { SourceKind, SourceParts } from './source-kind.ts';

/** How often it is looked whether the device is still the one that was opened. */
const lookMs = 1_000;
const closeMaxMs = 500;
/** Somebody who has plugged a board in again waits for it. */
const retryMaxMs = 5_000;
/** What may wait to be durable before the port is no longer read. */
const waitingFramesMax = 1_000;
/** What may wait to be written: a board that reads nothing would have it grow for ever. */
const unwrittenBytesMax = 64 * 1_024;

/**
 * One serial port, open until it fails: unplugged, silent for too long, or replaced by another
 * device of the same name. Whoever supervises opens it again.
 */
export const serialKind: SourceKind<typeof serialOptions> = {
  options: serialOptions,
  mapping: ({ name }) => ({ topic: name, device: name }),
  create: (options, parts) => createSerialSource(options, parts, identifyDevice),
};

export function createSerialSource(
  options: SerialOptions,
  parts: SourceParts,
  identify: IdentifyDevice,
): Source {
  let write: ((payload: Uint8Array) => Promise<void>) | undefined;
  return {
    name: parts.name,
    mayBeAway: true,
    retryMaxMs,
    async run(ingest, signal, opened) {
      const device = await identify(options.path);
      if (device === undefined) {
        throw new Error(
          `There is no device ${options.path}. Plug it in; ls /dev/serial/by-id shows what there is.`,
        );
      }
      const port = await openPort(options, parts.clock, signal);
      const session = createSession(port, options, parts, ingest);
      write = session.write;
      try {
        opened();
        parts.logger.info({ source: parts.name, path: options.path }, 'The port is open.');
        await session.ended(device, identify, signal);
      } finally {
        write = undefined;
        await session.close();
      }
    },
    async command(payload) {
      if (write === undefined) throw new Error(`The port ${options.path} is not open.`);
      await write(payload);
    },
  };
}

async function openPort(
  options: SerialOptions,
  clock: Clock,
  signal: AbortSignal,
): Promise<SerialPort> {
  const { SerialPort } = await import('serialport');
  const { path, baudRate, dataBits, parity, stopBits, rtscts } = options;
  signal.throwIfAborted();
  const port = new SerialPort({
    ...{ path, baudRate, dataBits, parity, stopBits, rtscts, lock: true, autoOpen: false },
  });
  await new Promise<void>((resolve, reject) => {
    port.open((error) => {
      if (error === null) resolve();
      else reject(new Error(openProblem(path, error), { cause: error }));
    });
  });
  if (signal.aborted) await closePort(port, clock);
  signal.throwIfAborted();
  return port;
}

function openProblem(path: string, error: Error): string {
  const text = messageOf(error);
  if (/permission denied/i.test(text)) {
    return `${text}. Add the user that runs Tidegate to the group dialout.`;
  }
  if (/is a directory|inappropriate ioctl|not a tty/i.test(text)) {
    return `${text}. It is no serial port; ls /dev/serial/by-id shows what there is.`;
  }
  if (/lock/i.test(text)) return `${text}. Another program uses ${path}; stop it.`;
  return text;
}

function createSession(
  port: SerialPort,
  options: SerialOptions,
  parts: SourceParts,
  ingest: Ingest,
) {
  const { clock, logger } = parts;
  const framer = createFramer(options.framing, options.frameBytes);
  const idleMs = idleMsOf(options);
  const over = new AbortController();
  let fail!: (error: Error) => void;
  const failed = new Promise<never>((_resolve, reject) => {
    fail = reject;
  });
  failed.catch(() => undefined);
  let heardAt = clock.monotonic();
  let idle: AbortController | undefined;
  let waiting = 0;
  let tail: Promise<void> = Promise.resolve();

  const unread = (): string | undefined =>
    port.writableLength < unwrittenBytesMax
      ? undefined
      : `The board at ${options.path} does not read: ${port.writableLength} bytes wait for it.`;
  /** Of a port that goes away, the library may never say what became of a write. */
  const write = async (payload: Uint8Array): Promise<void> => {
    const problem = unread();
    if (problem !== undefined) throw new Error(problem);
    const written = new Promise<void>((resolve, reject) => {
      port.write(framer.encode(payload), (error) => (error ? reject(error) : resolve()));
    });
    await Promise.race([written, failed]);
  };
  const answer = (text: string | undefined): void => {
    if (text === undefined) return;
    const error = unread();
    if (error === undefined) write(Buffer.from(text)).catch(fail);
    else logger.warn({ source: parts.name, error }, 'Answers to a board are left out.');
  };
  const keep = (frames: readonly Frame[]): void => {
    if (frames.length === 0) return;
    const receivedAt = clock.now();
    const messages = frames.map(({ payload, problem }): Message => {
      const message = { topic: parts.name, payload, receivedAt };
      return problem === undefined ? message : { ...message, problem };
    });
    waiting += messages.length;
    if (waiting >= waitingFramesMax) port.pause();
    tail = tail
      .then(() => ingest(messages))
      .then(() => {
        for (const { problem } of messages) {
          answer(problem === undefined ? options.acknowledge.safe : options.acknowledge.bad);
        }
        waiting -= messages.length;
        if (waiting < waitingFramesMax / 2 && port.isPaused()) port.resume();
      });
    tail.catch(fail);
  };
  const rest = (): void => {
    const frame = framer.rest();
    if (frame !== undefined) keep([frame]);
  };
  /** Silence ends a frame, or shows that it will not be finished. */
  const awaitSilence = async (): Promise<void> => {
    idle ??= new AbortController();
    const { signal } = idle;
    try {
      for (;;) {
        const left = heardAt + idleMs - clock.monotonic();
        if (left <= 0) break;
        await clock.sleep(left, signal);
      }
      idle = undefined;
      rest();
    } catch {
      // The session is over; what had begun is kept there.
    }
  };
  // Without a listener for data, the library never notices that a device is gone.
  port.on('data', (chunk: Buffer) => {
    heardAt = clock.monotonic();
    keep(framer.push(chunk));
    if (idleMs > 0 && idle === undefined) void awaitSilence();
  });
  port.on('error', fail);
  port.on('close', () => fail(new Error(`The port ${options.path} was closed: is it unplugged?`)));

  const watch = async (device: string, identify: IdentifyDevice): Promise<never> => {
    for (;;) {
      await clock.sleep(lookMs, over.signal);
      if ((await identify(options.path)) !== device) {
        throw new Error(`The device at ${options.path} is gone, or another one.`);
      }
      const silentMs = clock.monotonic() - heardAt;
      if (options.silence !== undefined && silentMs > options.silence) {
        throw new Error(`Nothing has come from ${options.path} for ${options.silence} ms.`);
      }
    }
  };
  return {
    write,
    /** Resolves when told to end; rejects when the port can no longer be used. */
    async ended(device: string, identify: IdentifyDevice, signal: AbortSignal): Promise<void> {
      const told = new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => resolve(), { once: true });
        if (signal.aborted) resolve();
      });
      const watching = watch(device, identify);
      watching.catch(() => undefined);
      await Promise.race([told, failed, watching]);
    },
    async close(): Promise<void> {
      const closed = new Error(`The port ${options.path} is not open.`);
      over.abort(closed);
      fail(closed);
      idle?.abort(new Error('The port is closed.'));
      port.removeAllListeners('data');
      rest();
      await closePort(port, clock);
      // A log that can take nothing must not keep the gateway from ending.
      await within(
        tail.catch(() => undefined),
        closeMaxMs,
        clock,
      );
    },
  };
}

async function closePort(port: SerialPort, clock: Clock): Promise<void> {
  port.removeAllListeners('close');
  port.on('error', () => undefined);
  const closed = new Promise<void>((resolve) => {
    if (!port.isOpen) resolve();
    else port.close(() => resolve());
  });
  await within(closed, closeMaxMs, clock);
}
