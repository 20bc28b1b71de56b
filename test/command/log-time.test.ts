import { expect, test } from 'vitest';
import { momentOf } from '../../src/command/log-time.ts';

const now = Date.parse('2026-11-20T14:09:00.000Z');
const iso = (text: string) => new Date(momentOf('from', text, now)).toISOString();

test('how long ago is counted from now', () => {
  expect(iso('15m')).toBe('2026-11-20T13:54:00.000Z');
  expect(iso('24h')).toBe('2026-11-19T14:09:00.000Z');
  expect(iso('1.5d')).toBe('2026-11-19T02:09:00.000Z');
  expect(iso('0s')).toBe('2026-11-20T14:09:00.000Z');
  expect(iso('250ms')).toBe('2026-11-20T14:08:59.750Z');
});

test('a moment is RFC 3339; what is left out is the beginning of it, and without an offset it is UTC', () => {
  expect(iso('2026-11-20T14:00:00Z')).toBe('2026-11-20T14:00:00.000Z');
  expect(iso('2026-11-20t14:00:00z')).toBe('2026-11-20T14:00:00.000Z');
  expect(iso('2026-11-20T14:00:00.5+01:00')).toBe('2026-11-20T13:00:00.500Z');
  expect(iso('2026-11-20 14:00')).toBe('2026-11-20T14:00:00.000Z');
  expect(iso('2026-11-20')).toBe('2026-11-20T00:00:00.000Z');
});

test('anything else is wrong usage', () => {
  for (const text of [
    '',
    'soon',
    '15',
    '15 m',
    '-15m',
    '2026-13-01',
    '2026-11-20T25:00:00Z',
    '20.11.2026',
    '14:00',
    '1e3s',
  ]) {
    expect(() => iso(text), text).toThrow('--from takes a time');
  }
});
