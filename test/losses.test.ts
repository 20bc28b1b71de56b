/** `docs/losses.md` promises that each complaint about others is a test here. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '..');
const rows = readFileSync(join(root, 'docs/losses.md'), 'utf8')
  .split('\n')
  .filter((line) => /^\| (?!What happened|---)/.test(line));

test.each(rows)('a test holds what this row says: %s', (row) => {
  const cells = row.split('|').map((cell) => cell.trim());
  expect(cells).toHaveLength(5);
  const named = cells[3]!.split('; `').map((each) => each.replace(/^`/, ''));
  for (const each of named) {
    const [path, title] = each.split(/`: /) as [string, string];
    const source = readFileSync(join(root, 'test', path), 'utf8').replaceAll("\\'", "'");
    expect(source.includes(title), `${path} has a test "${title}"`).toBe(true);
  }
});

test('the list is whole', () => {
  expect(rows.length).toBeGreaterThan(30);
});
