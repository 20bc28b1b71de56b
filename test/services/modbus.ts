import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  available,
  connectable,
  freePort,
  type RunningService,
  startService,
  temporaryFolder,
} from './child.ts';

const python = '/usr/bin/python3';
const script = join(import.meta.dirname, 'modbus-server.py');

/** Whether an independent Modbus server can be run; says why not, or throws where it must. */
export function hasPymodbus(): boolean {
  if (!available('socat')) return false;
  try {
    execFileSync(python, ['-c', 'import pymodbus.server'], { stdio: 'ignore' });
    return true;
  } catch {
    if (process.env.TIDEGATE_REQUIRE_SERVICES === '1') {
      throw new Error('python3-pymodbus is not installed and TIDEGATE_REQUIRE_SERVICES=1 is set.');
    }
    process.stderr.write('python3-pymodbus is not installed: tests of Modbus are skipped.\n');
    return false;
  }
}

/** A server with the registers that `modbus-server.py` lists; stopping it stops its line, too. */
export async function modbusServer(
  kind: 'tcp' | 'rtu',
): Promise<{ readonly url: string; readonly service: RunningService }> {
  const folder = await temporaryFolder('modbus');
  if (kind === 'tcp') {
    const port = await freePort();
    const service = await startService({
      ...{ name: 'pymodbus', program: python, args: [script, 'tcp', `${port}`], folder },
      probe: () => connectable(port),
    });
    return { url: `tcp://127.0.0.1:${port}`, service };
  }
  const near = join(folder, 'near');
  const far = join(folder, 'far');
  const line = await startService({
    ...{ name: 'socat', program: 'socat', folder },
    args: [`PTY,link=${near},raw,echo=0`, `PTY,link=${far},raw,echo=0`],
    probe: async () => {
      if (!existsSync(near) || !existsSync(far)) throw new Error('The line is not there.');
    },
  });
  const service = await startService({
    ...{ name: 'pymodbus', program: python, args: [script, 'rtu', far] },
    folder: await temporaryFolder('modbus'),
    probe: async () => undefined,
  });
  const stop = service.stop.bind(service);
  const both = async (): Promise<void> => {
    await stop();
    await line.stop();
  };
  return { url: `rtu://${near}`, service: Object.assign(service, { stop: both }) };
}
