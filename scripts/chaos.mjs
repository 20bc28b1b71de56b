#!/usr/bin/env node
// `npm run chaos`: makes everything go wrong for a set time and looks for what was lost.
// `npm run chaos -- --help` says how long, with which seed, and what.

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root, runScript, SetupError, setUp } from './setup.mjs';

await runScript(async () => {
  await setUp({ build: false });
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const project = join(root, 'test', 'chaos', 'tsconfig.json');
  const options = { cwd: root, encoding: 'utf8' };
  const { status, stdout } = spawnSync(process.execPath, [compiler, '-p', project], options);
  if (status !== 0) throw new SetupError(`The sources do not compile:\n${stdout}`);
  const main = join(root, 'dist', 'test', 'chaos', 'main.js');
  const chaos = await import(pathToFileURL(main).href);
  // Ctrl-C ends the run; what was started and mounted goes with it.
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(130));
  process.exit(await chaos.main(process.argv.slice(2)));
});
