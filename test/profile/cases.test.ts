/**
 * What people really own: every folder under `test/cases/profiles/<profile>` is a message and what it
 * becomes, with `ingest: auto`, or with the `tidegate.yaml` that stands beside it.
 *
 *   topic.txt      the topic
 *   payload.*      the bytes; `.hex` is written as digits, anything else stands as it is
 *   messages.txt   instead of both, for several messages in a row: a topic and base64 on each line
 *   expected.json  the events: device, measurement, fields; tags where there are any; time unless it is
 *                  the time of arrival
 *   error.txt      the reason, where something cannot be read; a line for each message
 *   source.txt     where the message was found
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { shippedProfiles } from '../../src/config/profiles.ts';
import { parseLosslessJson, toLosslessJson } from '../../src/event/lossless-json.ts';
import { type Outcome, outcomeOf, type Sent } from './outcome.ts';

const root = join(import.meta.dirname, '../cases/profiles');

function messagesIn(folder: string): readonly Sent[] {
  const files = readdirSync(folder);
  const several = join(folder, 'messages.txt');
  if (existsSync(several)) {
    return readFileSync(several, 'utf8').trim().split('\n').map(messageIn);
  }
  const name = files.find((each) => each.startsWith('payload.'))!;
  const bytes = readFileSync(join(folder, name));
  const payload = name.endsWith('.hex')
    ? Buffer.from(bytes.toString().replaceAll(/\s/g, ''), 'hex')
    : bytes;
  return [{ topic: readFileSync(join(folder, 'topic.txt'), 'utf8').trim(), payload }];
}

function messageIn(line: string): Sent {
  const end = line.lastIndexOf(' ');
  return { topic: line.slice(0, end), payload: Buffer.from(line.slice(end + 1), 'base64') };
}

/** What the case says that becomes of its messages. */
function expectedOf(folder: string, outcome: Outcome): unknown {
  const file = join(folder, 'expected.json');
  if (process.env.TIDEGATE_UPDATE_CASES === '1') {
    writeFileSync(file, `${toLosslessJson(outcome.readings)}\n`);
  }
  const errors = join(folder, 'error.txt');
  return {
    readings: parseLosslessJson(readFileSync(file, 'utf8')),
    errors: existsSync(errors) ? readFileSync(errors, 'utf8').trim().split('\n') : [],
  };
}

describe.each(readdirSync(root))('%s', (profile) => {
  test.each(readdirSync(join(root, profile)))('%s', async (name) => {
    const folder = join(root, profile, name);
    const { config } = await loadConfig({ cwd: folder, environment: {} });
    const outcome = outcomeOf(config.ingest, messagesIn(folder));
    expect({ readings: outcome.readings, errors: outcome.errors }).toEqual(
      expectedOf(folder, outcome),
    );
    expect(readFileSync(join(folder, 'source.txt'), 'utf8').trim()).not.toBe('');
  });
});

test('every profile has cases of real messages', async () => {
  const profiles = await shippedProfiles();
  const folders = readdirSync(root);
  for (const { name } of profiles) expect(folders).toContain(name);
});
