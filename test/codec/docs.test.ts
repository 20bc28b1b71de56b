/**
 * What `docs/codecs.md` shows is tried: after a configuration comes a command that publishes a
 * message, and after that the readings that it becomes.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { configJsonSchema } from '../../src/config/json-schema.ts';
import { loadConfig } from '../../src/config/load.ts';
import { codecReferencesOf } from '../../src/config/reference.ts';
import { createMapper } from '../../src/flow/mapping.ts';

const manual = join(import.meta.dirname, '../../docs/codecs.md');
const text = readFileSync(manual, 'utf8');
const receivedAt = Date.UTC(2026, 10, 20, 12, 30);
const clock = {
  now: () => receivedAt,
  monotonic: () => 0,
  boot: '',
  quality: () => 'synchronised' as const,
  sleep: async () => {},
};

const example = /^```yaml\n(.*?)^```\n+```sh\n(.*?)\n```\n+```json\n(.*?)^```/gms;
const sections = text
  .split(/^## /m)
  .slice(1)
  .flatMap((section) => {
    const name = section.slice(0, section.indexOf('\n'));
    const found = [...section.matchAll(example)];
    // Those of several messages and with files are tried in `examples.test.ts`.
    const single = found.filter((match) => !match[2]!.startsWith('echo '));
    return single.map((match) => [name, match[1]!, match[2]!, match[3]!] as const);
  });

const piped = /^(printf '[^']*') \| mosquitto_pub -t \S+ -s$/;
const given = /^mosquitto_pub -t \S+ -m '([^']*)'$/;

/** The topic and the bytes that a command would publish: all of it runs but the publisher. */
function publishedBy(command: string): { readonly topic: string; readonly payload: Buffer } {
  const topic = / -t (\S+)/.exec(command)![1]!;
  const printed = piped.exec(command);
  if (printed !== null) return { topic, payload: execFileSync('sh', ['-c', printed[1]!]) };
  return { topic, payload: Buffer.from(given.exec(command)![1]!) };
}

test.for(sections)('the example of %s works as shown', async ([, yaml, command, json]) => {
  const cwd = mkdtempSync(join(tmpdir(), 'tidegate-codecs-'));
  try {
    writeFileSync(join(cwd, 'tidegate.yaml'), yaml);
    const { config } = await loadConfig({ cwd, environment: {} });
    const message = { ...publishedBy(command), receivedAt };
    const parts = { source: '/s', clock, onRefusedTime: () => {} };
    const { drafts, problem } = createMapper(config.ingest, parts)(message.topic)!.read(message);
    const readings = drafts.map(({ subject, time, data: { measurement, tags, fields } }) => ({
      device: subject,
      measurement,
      ...(time === receivedAt ? {} : { time: new Date(time).toISOString() }),
      ...(Object.keys(tags).length === 0 ? {} : { tags }),
      fields,
    }));
    expect(problem).toBeUndefined();
    expect(readings).toEqual(JSON.parse(json));
  } finally {
    rmSync(cwd, { recursive: true });
  }
});

test('every codec with options of its own shows them, and has an example', () => {
  const references = codecReferencesOf(configJsonSchema());
  const current = text.replaceAll(
    /(<!-- options of (\S+) -->\n).*?(<!-- end -->)/gs,
    (_, begin: string, name: string, end: string) =>
      `${begin}\n${references.get(name) ?? ''}\n${end}`,
  );
  if (process.env.TIDEGATE_UPDATE_DOCS === '1') writeFileSync(manual, current);
  expect(text, 'TIDEGATE_UPDATE_DOCS=1 rewrites it').toBe(current);
  const names = new Set(sections.map(([name]) => name));
  for (const name of ['auto', 'bytes', 'cbor', 'csv', 'json', 'line-protocol', 'senml', 'text']) {
    expect(names, `an example of ${name}`).toContain(name);
  }
});
