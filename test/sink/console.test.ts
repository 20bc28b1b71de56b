import { spawn } from 'node:child_process';
import { expect, test } from 'vitest';
import { fromCloudEventsJson } from '../../src/event/cloudevents-json.ts';
import { createTextWriter } from '../../src/platform/standard-output.ts';
import { consoleLineOf, createConsoleSink } from '../../src/sink/console.ts';
import { alertOf, readingOf, readingsOf } from '../event/events.ts';
import { eventually } from '../services/child.ts';
import { endless, failureOf, sinkParts, withConnection } from './parts.ts';

test('an event is a short line for people', () => {
  expect(consoleLineOf(readingOf())).toBe(
    '2026-11-20T14:09:00.123Z reading gh-07 climate temperature=31.2 humidity=40',
  );
  expect(consoleLineOf(alertOf())).toBe(
    '2026-11-20T14:09:00.123Z alert gh-07 overheat firing: gh-07 is at 31.2 °C',
  );
  const data = { name: 'reboot', payload: 'now' };
  expect(consoleLineOf({ ...readingOf(), type: 'command', data })).toBe(
    '2026-11-20T14:09:00.123Z command gh-07 {"name":"reboot","payload":"now"}',
  );
});

test('what devices say can neither steer the terminal nor begin a line', () => {
  const fields = { 'a\nb': '\u001b[2J\u009b1m\r' };
  const line = consoleLineOf(
    readingOf({ subject: 'x\u0007', data: { measurement: 'm', tags: {}, fields } }),
  );
  expect(line).toBe('2026-11-20T14:09:00.123Z reading x� m a�b=�[2J�1m�');
});

test('with format json a line is the whole event', async () => {
  let text = '';
  const sink = createConsoleSink({ format: 'json' }, sinkParts(), async (more) => {
    text += more;
  });
  const events = [...readingsOf(3), alertOf()];
  await withConnection(sink, async (c) => void (await c.deliver(events, endless)));
  expect(
    text
      .split('\n')
      .slice(0, -1)
      .map((line) => fromCloudEventsJson(line)),
  ).toEqual(events);
});

/** A console sink on a pipe to that program. */
function pipedTo(program: string, ...args: string[]) {
  const child = spawn(program, args, { stdio: ['pipe', 'ignore', 'ignore'] });
  const sink = createConsoleSink({ format: 'json' }, sinkParts(), createTextWriter(child.stdin));
  return { child, sink };
}

test('it throws once nobody reads any more, and does not end the process', async () => {
  const { sink } = pipedTo('head', '-c', '1');
  await withConnection(sink, async (connection) => {
    const error = await failureOf(
      (async () => {
        for (;;) await connection.deliver(readingsOf(500), endless);
      })(),
    );
    expect(error).toMatchObject({ code: 'EPIPE' });
  });
});

test('it waits for a slow reader, and obeys the signal while it waits', async () => {
  const { child, sink } = pipedTo('sleep', '60');
  const control = new AbortController();
  await withConnection(sink, async (connection) => {
    const delivering = failureOf(
      (async () => {
        for (;;) await connection.deliver(readingsOf(500), control.signal);
      })(),
    );
    await eventually(() => expect(child.stdin.writableNeedDrain).toBe(true));
    const reason = new Error('We stop.');
    control.abort(reason);
    expect(await delivering).toBe(reason);
  });
  child.kill('SIGKILL');
});
