import { fileURLToPath } from 'node:url';
import { succeed, testClient, works } from './scenarios.ts';

// Debian's own, which has Debian's packages.
const python = '/usr/bin/python3';
const program = fileURLToPath(new URL('scenarios.py', import.meta.url));

testClient({
  name: 'paho for Python',
  isInstalled: await works(
    'paho for Python (python3-paho-mqtt)',
    async () => await succeed(python, ['-c', 'import paho.mqtt.client']),
  ),
  async run(port, version, scenario) {
    await succeed(python, [program, String(port), version, scenario]);
  },
});
