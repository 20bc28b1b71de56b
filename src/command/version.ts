import { readFileSync } from 'node:fs';

/** The version of this program, as its package says. */
export const version: string = readVersion();

function readVersion(): string {
  // From the sources the package lies two folders up, from the compiled files three.
  for (const path of ['../../package.json', '../../../package.json']) {
    try {
      const found = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'));
      if (found.name === 'tidegate') return found.version;
    } catch {}
  }
  return 'unknown';
}
