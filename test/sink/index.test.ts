import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sinkKinds } from '../../src/sink/index.ts';

const root = join(import.meta.dirname, '../..');
const kinds = Object.entries(sinkKinds);

test('every kind of sink that has a file is in the table', () => {
  const folder = join(root, 'src/sink');
  const found = readdirSync(folder).flatMap((file) => {
    const text = readFileSync(join(folder, file), 'utf8');
    return [...text.matchAll(/^export const (\w+)Kind: SinkKind/gm)].map(([, name]) => name!);
  });
  expect(found.sort()).toEqual(Object.keys(sinkKinds).sort());
});

test.each(kinds)('%s has a sample, and every option says what it is for', (name, kind) => {
  expect(existsSync(join(root, `config/samples/sink-${name}.yaml`))).toBe(true);
  for (const [option, schema] of Object.entries(kind.options.shape)) {
    expect(schema.description, `${name}.${option}`).toMatch(/\w/);
  }
});

test.each(kinds)('%s leaves alone what every sink takes', (_, kind) => {
  for (const common of ['kind', 'select', 'batch', 'retry', 'expire', 'from']) {
    expect(kind.options.shape).not.toHaveProperty(common);
  }
  expect(kind.batch.events).toBeGreaterThan(0);
  expect(kind.batch.bytes).toBeGreaterThan(0);
});

test('no library of a sink is loaded before it connects', () => {
  const folder = join(root, 'src/sink');
  for (const file of readdirSync(folder)) {
    const text = readFileSync(join(folder, file), 'utf8');
    expect(text, file).not.toMatch(/^import (?!type)[^;]*from '(mqtt|influx)'/m);
  }
});
