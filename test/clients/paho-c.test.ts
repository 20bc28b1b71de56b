import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '../services/child.ts';
import { succeed, testClient, works } from './scenarios.ts';

const folder = await temporaryFolder('scenarios.c');
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const program = join(folder, 'paho');
const source = fileURLToPath(new URL('scenarios.c', import.meta.url));

testClient({
  name: 'paho for C',
  isInstalled: await works(
    'paho for C (libpaho-mqtt-dev, gcc)',
    async () =>
      await succeed('gcc', ['-O1', '-Wall', '-Werror', '-o', program, source, '-lpaho-mqtt3c']),
  ),
  async run(port, version, scenario) {
    await succeed(program, [String(port), version, scenario]);
  },
});
