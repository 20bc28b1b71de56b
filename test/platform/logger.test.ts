import { closeSync, fstatSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import {
  createLogger,
  createProcessLogger,
  type LoggerOptions,
  leadsToJournal,
} from '../../src/platform/logger.ts';

function recording(options: LoggerOptions = {}) {
  const lines: string[] = [];
  const logger = createLogger({ destination: { write: (line) => lines.push(line) }, ...options });
  return { lines, logger };
}

test('a line of text has the time, the level, the words and the fields', () => {
  const { lines, logger } = recording();
  logger.warn({ sink: 'cloud', error: new Error('connect refused'), waitMs: 500 }, 'It failed.');
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warn {2}It failed\. sink=cloud error="connect refused" waitMs=500\n$/,
  );
});

test('a line of JSON is one object with level, time, message and the fields', () => {
  const { lines, logger } = recording({ format: 'json' });
  logger.error({ sink: 'cloud', count: 12n, level: 'high' }, 'It failed.');
  const { time, ...rest } = JSON.parse(lines[0]!);
  expect(Date.parse(time)).toBeGreaterThan(0);
  expect(rest).toEqual({
    level: 'error',
    message: 'It failed.',
    sink: 'cloud',
    count: '12',
    level_: 'high',
  });
});

test('levels below the chosen one are silent', () => {
  const { lines, logger } = recording({ level: 'warn' });
  logger.info({}, 'Started.');
  logger.debug({}, 'Detail.');
  logger.warn({}, 'Odd.');
  logger.error({}, 'Bad.');
  expect(lines.map((line) => line.split(' ').slice(1).join(' '))).toEqual([
    'warn  Odd.\n',
    'error Bad.\n',
  ]);
});

test('in the journal a line begins with its priority and carries no time', () => {
  const { lines, logger } = recording({ journal: true, level: 'debug' });
  logger.error({}, 'Bad.');
  logger.warn({}, 'Odd.');
  logger.info({}, 'Started.');
  logger.debug({}, 'Detail.');
  expect(lines).toEqual([
    '<3>error Bad.\n',
    '<4>warn  Odd.\n',
    '<6>info  Started.\n',
    '<7>debug Detail.\n',
  ]);
});

test('colour appears on a terminal only', () => {
  const lines: string[] = [];
  const noColour = process.env.NO_COLOR;
  delete process.env.NO_COLOR;
  try {
    const write = (line: string) => lines.push(line);
    createLogger({ destination: { write, isTTY: true } }).info({ port: 1 }, 'Open.');
    createLogger({ destination: { write, isTTY: false } }).info({ port: 1 }, 'Open.');
  } finally {
    if (noColour !== undefined) process.env.NO_COLOR = noColour;
  }
  expect(lines[0]).toContain('\u001b[');
  expect(lines[1]).not.toContain('\u001b');
});

test('what is named like a secret is never shown, at any depth', () => {
  for (const format of ['text', 'json'] as const) {
    const { lines, logger } = recording({ format });
    logger.info(
      {
        password: 'hunter2',
        apiKey: 'hunter2',
        key: 'hunter2',
        headers: { Authorization: 'Bearer hunter2', list: [{ client_secret: 'hunter2' }] },
        accessToken: 'hunter2',
        url: 'mqtts://me:hunter2@up.example/x',
        error: new Error('GET https://me:hunter2@up.example failed'),
      },
      'Connected.',
    );
    expect(lines.join('')).not.toContain('hunter2');
    expect(lines.join('')).toContain('mqtts://me:[redacted]@up.example/x');
  }
});

test('names that only sound like a key are shown', () => {
  const { lines, logger } = recording();
  logger.info({ monkey: 1, keepAliveMs: 2, keyboard: 3 }, 'Ready.');
  expect(lines[0]).toContain('Ready. monkey=1 keepAliveMs=2 keyboard=3\n');
});

test('a value cannot forge a line or steer a terminal', () => {
  const { lines, logger } = recording();
  logger.info({ topic: 'a\n2026 error Forged.\u001b[2J\u2028', 'b\nc': 1 }, 'One.\nTwo.');
  expect(lines).toHaveLength(1);
  expect(lines[0]!.match(/\n/g)).toHaveLength(1);
  expect(lines[0]).not.toContain('\u001b');
  expect(lines[0]).not.toContain('\u2028');
});

test('logging never throws, whatever it is given', () => {
  const circular: Record<string, unknown> = {};
  circular.self = circular;
  const hostile = {
    get boom(): never {
      throw new Error('getter');
    },
  };
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  const { lines, logger } = recording({ format: 'json' });
  logger.info({ circular }, 'A.');
  logger.info(hostile, 'B.');
  logger.info({ revoked: revoked.proxy, call: () => 1, symbol: Symbol('x') }, 'C.');
  logger.info({ big: 'x'.repeat(100_000), list: new Array(1_000).fill(1), nan: NaN }, 'D.');
  expect(lines.map((line) => JSON.parse(line).message)).toEqual(['A.', 'B.', 'C.', 'D.']);
  expect(lines[3]!.length).toBeLessThan(3_000);
  const broken = createLogger({
    destination: {
      write() {
        throw new Error('EPIPE');
      },
    },
  });
  expect(() => broken.error({}, 'Bad.')).not.toThrow();
});

test('an error is shown by its message, and with its stack at debug', () => {
  const error = new Error('outer', { cause: new Error('inner') });
  const quiet = recording();
  quiet.logger.error({ error }, 'Bad.');
  expect(quiet.lines[0]).toContain('Bad. error="outer: inner"\n');
  const loud = recording({ level: 'debug', format: 'json' });
  loud.logger.error({ error }, 'Bad.');
  expect(JSON.parse(loud.lines[0]!).stack).toContain('logger.test.ts');
});

test('an equal message of the same sink is held back and counted; another sink is heard', async () => {
  const { lines, logger } = recording({ repeatMs: 200, format: 'json' });
  for (let attempt = 1; attempt <= 5; attempt++) {
    logger.warn({ sink: 'cloud', attempt }, 'Delivery failed.');
    logger.warn({ sink: 'local', attempt }, 'Delivery failed.');
  }
  const shown = () => lines.map((line) => JSON.parse(line));
  expect(shown().map((each) => [each.sink, each.attempt, each.suppressed])).toEqual([
    ['cloud', 1, undefined],
    ['local', 1, undefined],
  ]);
  await vi.waitFor(() => expect(lines).toHaveLength(4), { timeout: 5_000 });
  expect(
    shown()
      .slice(2)
      .map((each) => [each.sink, each.attempt, each.suppressed]),
  ).toEqual([
    ['cloud', 5, 3],
    ['local', 5, 3],
  ]);
});

test('infos that differ in any field are all shown; only true repeats are held back', () => {
  const { lines, logger } = recording();
  logger.info({ port: 1883 }, 'Listening.');
  logger.info({ port: 8883 }, 'Listening.');
  logger.info({ port: 8883 }, 'Listening.');
  expect(lines).toHaveLength(2);
});

test('a flood of different messages is remembered within a limit', () => {
  const { lines, logger } = recording();
  for (let n = 0; n < 2_000; n++) logger.warn({ sink: `s${n}` }, 'Delivery failed.');
  expect(lines).toHaveLength(2_000);
  logger.warn({ sink: 's0' }, 'Delivery failed.');
  logger.warn({ sink: 's1999' }, 'Delivery failed.');
  expect(lines).toHaveLength(2_001);
});

test('a level or format that does not exist is refused by the name of its variable', () => {
  expect(() => createProcessLogger({ TIDEGATE_LOG_LEVEL: 'loud' })).toThrow(
    /TIDEGATE_LOG_LEVEL: must be one of error, warn, info, debug, not "loud"/,
  );
  expect(() => createProcessLogger({ TIDEGATE_LOG_FORMAT: 'xml' })).toThrow(/TIDEGATE_LOG_FORMAT/);
});

test('the journal is recognised by its stream, not by an inherited variable', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidegate-logger-'));
  const descriptor = openSync(join(folder, 'stream'), 'w');
  try {
    const { dev, ino } = fstatSync(descriptor);
    expect(leadsToJournal(descriptor, { JOURNAL_STREAM: `${dev}:${ino}` })).toBe(true);
    expect(leadsToJournal(descriptor, { JOURNAL_STREAM: '8:1' })).toBe(false);
    expect(leadsToJournal(descriptor, {})).toBe(false);
    expect(leadsToJournal(9_999, { JOURNAL_STREAM: '8:1' })).toBe(false);
  } finally {
    closeSync(descriptor);
    rmSync(folder, { recursive: true });
  }
});
