import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { serialKind } from '../../src/source/serial.ts';
import type { Ingest } from '../../src/source/source.ts';
import { available, eventually, startService, temporaryFolder } from '../services/child.ts';
import { type SerialLine, startSerialLine } from '../services/pty.ts';
import { runSource, sourceParts, stopRuns } from './run-source.ts';

const parts = sourceParts('floor2');

test.for(['/dev', '/dev/null'])('%s is no serial port, and it is said what is', async (path) => {
  const source = serialKind.create(serialKind.options.parse({ path }), parts);
  const { running } = await runSource(source);
  expect(String(await running)).toMatch(/no serial port.*by-id/);
});

describe.runIf(available('socat'))('a serial port on a pseudo-terminal', () => {
  let line: SerialLine;
  beforeEach(async () => {
    line = await startSerialLine();
  });
  afterEach(async () => {
    await stopRuns();
    await line.stop();
  });

  const create = (options: object) =>
    serialKind.create(serialKind.options.parse({ path: line.port, ...options }), parts);
  const run = (options: object, keep?: Ingest) => runSource(create(options), keep);

  test('lines become messages under the name of the source', async () => {
    const { messages, texts } = await run({});
    await line.send('21.5\r\n22');
    await line.send('.5\n');
    await eventually(() => expect(texts()).toEqual(['21.5', '22.5']));
    expect(messages[0]).toMatchObject({ topic: 'floor2' });
  });

  test('the board is told of a message once it is safe, and of a bad frame', async () => {
    let release!: () => void;
    const safe = new Promise<void>((resolve) => {
      release = resolve;
    });
    const framing = { kind: 'cobs', checksum: 'crc16-ccitt' };
    const { texts, messages } = await run(
      { framing, acknowledge: { safe: 'A', bad: 'N' } },
      async () => await safe,
    );
    const { createFramer } = await import('../../src/source/serial-framing.ts');
    const framer = createFramer({ kind: 'cobs', checksum: 'crc16-ccitt' }, 100);
    const bad = framer.encode(Buffer.from('bad'));
    bad[2]! ^= 1;
    await line.send(framer.encode(Buffer.from('21.5')));
    await line.send(bad);
    await eventually(() => expect(texts()[0]).toBe('21.5'));
    expect(line.received()).toHaveLength(0);
    release();
    await eventually(() => {
      const answers = framer.push(line.received()).map(({ payload }) => String(payload));
      expect(answers).toEqual(['A', 'N']);
    });
    expect(messages[1]).toMatchObject({ problem: expect.stringContaining('checksum') });
  });

  test('pulled out in the middle of a frame: what had come is kept as broken, and plugging it in goes on', async () => {
    const first = await run({});
    await line.send('21.5\n22.');
    await eventually(() => expect(first.texts()).toEqual(['21.5']));
    await line.unplug();
    expect(String(await first.running)).toMatch(/unplugged|gone/);
    expect(first.messages[1]).toMatchObject({
      payload: Buffer.from('22.'),
      problem: expect.stringContaining('middle of a frame'),
    });

    const missing = await run({});
    expect(String(await missing.running)).toContain('There is no device');

    await line.plug();
    const second = await run({});
    await line.send('23.5\n');
    await eventually(() => expect(second.texts()).toEqual(['23.5']));
  });

  test('a port that falls silent is opened anew', async () => {
    const { running } = await run({ silence: '1s' });
    expect(String(await running)).toContain('Nothing has come');
  });

  test('a command reaches the board, framed; without a port it is refused', async () => {
    const source = create({ framing: 'slip' });
    await runSource(source);
    await source.command!(Buffer.from('on'));
    await eventually(() => expect(line.received().toString('hex')).toBe('c06f6ec0'));
    await line.unplug();
    await eventually(async () => {
      await expect(source.command!(Buffer.from('off'))).rejects.toThrow(/is not open|was closed/);
    });
  });

  test('a board that reads nothing is answered no more, instead of memory growing', async () => {
    const folder = await temporaryFolder('deaf');
    const path = join(folder, 'port');
    const deaf = await startService({
      ...{ name: 'socat', program: 'socat', folder },
      args: [`PTY,link=${path},raw,echo=0`, 'SYSTEM:yes 21.5'],
      probe: async () => {
        if (!existsSync(path)) throw new Error('The terminal is not there.');
      },
    });
    const said: string[] = [];
    const warn = (fields: { error: string }) => void said.push(fields.error);
    const logger = { ...parts.logger, warn } as unknown as typeof parts.logger;
    const acknowledge = { safe: 'x'.repeat(1_000) };
    const options = serialKind.options.parse({ path, acknowledge });
    const source = serialKind.create(options, { ...parts, logger });
    await runSource(source);
    await eventually(() => expect(said[0]).toMatch(/does not read: \d+ bytes wait/));
    expect(Number(/(\d+) bytes/.exec(said.at(-1)!)![1])).toBeLessThan(70_000);
    await expect(source.command!(Buffer.from('on'))).rejects.toThrow('does not read');
    await stopRuns();
    await deaf.stop();
  });

  test('what ends by silence is a message when the line is silent', async () => {
    const { texts } = await run({ framing: 'idle', idle: '50ms' });
    await line.send('T=21.5 H=40');
    await eventually(() => expect(texts()).toEqual(['T=21.5 H=40']));
  });
});
