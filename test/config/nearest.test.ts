import { expect, test } from 'vitest';
import { nearestOf } from '../../src/config/nearest.ts';

const keys = ['listeners', 'limits', 'auth', 'port', 'host'];

test('a slip of the finger finds the word that was meant', () => {
  expect(nearestOf('listener', keys)).toBe('listeners');
  expect(nearestOf('Listeners', keys)).toBe('listeners');
  expect(nearestOf('prot', keys)).toBe('port');
  expect(nearestOf('hosts', keys)).toBe('host');
  expect(nearestOf('limist', keys)).toBe('limits');
});

test('a word that is like none is not guessed', () => {
  expect(nearestOf('colour', keys)).toBeUndefined();
  expect(nearestOf('x', keys)).toBeUndefined();
  expect(nearestOf('', keys)).toBeUndefined();
  expect(nearestOf('port', [])).toBeUndefined();
});

test('of two the nearer is meant', () => {
  expect(nearestOf('poort', ['pot', 'port'])).toBe('port');
});
