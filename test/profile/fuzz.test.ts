/**
 * Damaged and invented payloads on the topics of every profile, and damaged topics.
 *
 *   TIDEGATE_FUZZ_INPUTS=1000000 TIDEGATE_SEED=7 npx vitest run test/profile/fuzz.test.ts
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'vitest';
import { DecodeError } from '../../src/codec/codec.ts';
import { shippedProfiles } from '../../src/config/profiles.ts';
import { createMapper } from '../../src/flow/mapping.ts';
import { autoMappings } from '../../src/profile/profile.ts';
import { type Chance, createChance, createDamage, isSlow } from '../codec/damage.ts';
import { clock, receivedAt } from './outcome.ts';

const seed = Number(process.env.TIDEGATE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const inputs = Number(process.env.TIDEGATE_FUZZ_INPUTS ?? 5_000);
const slowMs = 1_000;

const root = join(import.meta.dirname, '../cases/profiles');
const cases = readdirSync(root).flatMap((profile) =>
  readdirSync(join(root, profile)).flatMap((name) => {
    const folder = join(root, profile, name);
    const file = readdirSync(folder).find((each) => each.startsWith('payload.'));
    if (file === undefined) return [];
    const topic = readFileSync(join(folder, 'topic.txt'), 'utf8').trim();
    return [{ profile, topic, payload: readFileSync(join(folder, file)) }];
  }),
);
const damaged = createDamage(cases.map(({ payload }) => payload));

function damagedTopic(topic: string, chance: Chance): string {
  const levels = topic.split('/');
  const at = chance(levels.length);
  switch (chance(8)) {
    case 0:
      return [...levels.slice(0, at), ...levels.slice(at + 1)].join('/');
    case 1:
      return [...levels.slice(0, at), '', ...levels.slice(at)].join('/');
    case 2:
      return [...levels.slice(0, at), 'x'.repeat(chance(400)), ...levels.slice(at)].join('/');
    case 3:
      return [...levels.slice(0, at), '__proto__', ...levels.slice(at)].join('/');
    default:
      return topic;
  }
}

test.each([...new Set(cases.map(({ profile }) => profile))])(
  `on the topics of %s any bytes are readings, nothing, or refused with a reason, at once (seed ${seed})`,
  async (profile) => {
    const mappings = autoMappings(await shippedProfiles(), {});
    const routeOf = createMapper(mappings, { source: '/s', clock, onRefusedTime: () => {} });
    const topics = cases.filter((each) => each.profile === profile).map(({ topic }) => topic);
    const chance = createChance(seed);
    for (let count = 0; count < inputs; count++) {
      const topic = damagedTopic(topics[chance(topics.length)]!, chance);
      const payload = damaged(chance);
      const begun = performance.now();
      try {
        const { drafts, problem } = routeOf(topic)?.read({ topic, payload, receivedAt }) ?? {
          drafts: [],
        };
        if (drafts.length > 10_000) throw new Error('There are too many readings.');
        for (const { subject, time, data } of drafts) {
          const fields = Object.values(data.fields);
          const isSound =
            subject !== '' &&
            Number.isFinite(time) &&
            data.measurement !== '' &&
            fields.length > 0 &&
            fields.every((value) => typeof value !== 'object' && value !== undefined);
          if (!isSound) throw new Error(`No reading: ${JSON.stringify({ subject, time })}`);
        }
        if (problem !== undefined && !problem.endsWith('.')) throw new Error(problem);
      } catch (error) {
        if (error instanceof DecodeError) {
          if (!error.message.endsWith('.')) throw new Error(`No sentence: ${error.message}`);
          continue;
        }
        const bytes = Buffer.from(payload).toString('base64');
        throw new Error(`Input ${count} (${topic} ${bytes}) of seed ${seed}`, { cause: error });
      }
      const ms = performance.now() - begun;
      const again = () => routeOf(topic)?.read({ topic, payload, receivedAt });
      if (ms > slowMs && isSlow(slowMs, again)) {
        throw new Error(`Input ${count} of seed ${seed} takes ${ms} ms.`);
      }
    }
  },
  3_600_000,
);
