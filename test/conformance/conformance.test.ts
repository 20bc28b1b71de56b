import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { authentication } from './authentication.ts';
import { connect } from './connect.ts';
import { errors } from './errors.ts';
import { flow } from './flow.ts';
import { limits } from './limits.ts';
import { gapsIn, outcomesOf, pageOf } from './page.ts';
import { properties } from './properties.ts';
import { publish } from './publish.ts';
import { qos } from './qos.ts';
import { redelivery } from './redelivery.ts';
import { retain } from './retain.ts';
import { session } from './session.ts';
import { shared } from './shared.ts';
import { statements311 } from './statements-3.1.1.ts';
import { statements50 } from './statements-5.0.ts';
import { strings } from './strings.ts';
import { subscribe } from './subscribe.ts';
import { topics } from './topics.ts';
import { transport } from './transport.ts';
import { will } from './will.ts';

// One file for all chapters, so that the page can be made from one run.
const chapters = {
  strings,
  connect,
  session,
  will,
  publish,
  retain,
  qos,
  redelivery,
  subscribe,
  topics,
  shared,
  properties,
  flow,
  limits,
  errors,
  authentication,
  transport,
};
for (const [name, register] of Object.entries(chapters)) describe(name, register);

const specifications = [
  { prefix: 'MQTT', title: 'MQTT 3.1.1', statements: statements311 },
  { prefix: 'MQTT5', title: 'MQTT 5.0', statements: statements50 },
];
const path = new URL('../../docs/mqtt-conformance.md', import.meta.url);

test('every statement that concerns a server has a test or a reason, and the page says what became of it', async ({
  task,
}) => {
  const outcomes = outcomesOf(task.file.tasks);
  expect(gapsIn(specifications, outcomes)).toEqual([]);
  const page = pageOf(specifications, outcomes);
  if (process.env.TIDEGATE_UPDATE_DOCS === '1') await writeFile(path, page);
  expect(
    await readFile(path, 'utf8').catch(() => ''),
    'TIDEGATE_UPDATE_DOCS=1 npx vitest run test/conformance writes the page',
  ).toBe(page);
});
