/**
 * What `docs/profiles.md` shows is tried: after the configuration come commands that publish
 * messages, and after these the readings that they become.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { shippedProfiles } from '../../src/config/profiles.ts';
import { toLosslessJson } from '../../src/event/lossless-json.ts';
import { outcomeOf } from './outcome.ts';

const manual = join(import.meta.dirname, '../../docs/profiles.md');
const text = readFileSync(manual, 'utf8');
const example = /^```yaml\n(?!# file)([^`]*?)^```\n+```sh\n([^`]*?)\n```\n+```json\n(.*?)^```/ms;
const sections = text
  .split(/^## /m)
  .filter((section) => example.test(section))
  .map((section) => [section.slice(0, section.indexOf('\n')), section] as const);

/** The readings of a section, made by what it shows. */
async function readingsOf(section: string): Promise<unknown[]> {
  const cwd = mkdtempSync(join(tmpdir(), 'tidegate-profiles-'));
  try {
    for (const [, name, file] of section.matchAll(/^```yaml\n# file: (\S+)\n(.*?)^```/gms)) {
      mkdirSync(dirname(join(cwd, name!)), { recursive: true });
      writeFileSync(join(cwd, name!), file!);
    }
    const [, yaml, commands] = example.exec(section)!;
    writeFileSync(join(cwd, 'tidegate.yaml'), yaml!);
    const { config } = await loadConfig({ cwd, environment: {} });
    const messages = commands!.split('\n').map((command) => {
      const [, topic, payload] = /^mosquitto_pub -t '?([^' ]+)'? -m '([^']*)'$/.exec(command)!;
      return { topic: topic!, payload: Buffer.from(payload!) };
    });
    const { readings, errors } = outcomeOf(config.ingest, messages);
    expect(errors).toEqual([]);
    return readings;
  } finally {
    rmSync(cwd, { recursive: true });
  }
}

/** As the manual writes them: a line for each part of a reading. */
function shown(readings: readonly unknown[]): string {
  const lines = readings.map((reading) => {
    const parts = Object.entries(reading as object).map(
      ([name, value]) => `    ${JSON.stringify(name)}: ${spaced(toLosslessJson(value)!)}`,
    );
    return `  {\n${parts.join(',\n')}\n  }`;
  });
  return `[\n${lines.join(',\n')}\n]\n`;
}

function spaced(json: string): string {
  return json.replaceAll(/("(?:[^"\\]|\\.)*")|([{}:,])/g, (all, quoted: string | undefined) => {
    if (quoted !== undefined) return quoted;
    return { '{': '{ ', '}': ' }', ':': ': ', ',': ', ' }[all as '{']!;
  });
}

test.for(sections)('the example of %s works as shown', async ([, section]) => {
  const readings = await readingsOf(section);
  const [all, , , json] = example.exec(section)!;
  if (process.env.TIDEGATE_UPDATE_DOCS === '1') {
    const now = readFileSync(manual, 'utf8');
    writeFileSync(
      manual,
      now.replace(all!, () => all!.replace(json!, () => shown(readings))),
    );
  } else expect(readings).toEqual(JSON.parse(json!));
});

test('every profile has an example', async () => {
  const names = sections.map(([name]) => name);
  for (const { name } of await shippedProfiles()) expect(names).toContain(name);
});

test('what the manual shows beside the examples can be used', async () => {
  const blocks = [...text.matchAll(/^```yaml\n(?!# file)([^`]*?)^```/gm)].map(([, yaml]) => yaml!);
  expect(blocks.length).toBeGreaterThan(sections.length);
  for (const yaml of blocks.filter((each) => !each.includes('profiles:'))) {
    const cwd = mkdtempSync(join(tmpdir(), 'tidegate-profiles-'));
    try {
      writeFileSync(join(cwd, 'tidegate.yaml'), yaml);
      await expect(loadConfig({ cwd, environment: {} })).resolves.toBeDefined();
    } finally {
      rmSync(cwd, { recursive: true });
    }
  }
});
