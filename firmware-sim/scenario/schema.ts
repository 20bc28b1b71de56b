import { z } from 'zod';
import { duration } from '../../src/kind/kind.ts';
import { behaviours, linkBehaviours } from '../behaviour/index.ts';
import { shapeNames } from '../shape/index.ts';

/** A whole number, or a text such as `>= 10`, `<= 5`, `3..7`. */
export interface Range {
  readonly text: string;
  readonly min: number;
  readonly max: number;
}

const rangeProblem = "must be a number, or a text such as '>= 10', '<= 5' or '3..7'";
const range = z
  .union(
    [z.number(), z.string().regex(/^(>=|<=)\s*\d+(\.\d+)?$|^\d+\.\.\d+$/, rangeProblem)],
    rangeProblem,
  )
  .transform((given): Range => {
    const text = String(given);
    const [low = 0, high = low] = (text.match(/\d+(\.\d+)?/g) ?? []).map(Number);
    if (text.startsWith('>=')) return { text, min: low, max: Number.POSITIVE_INFINITY };
    if (text.startsWith('<=')) return { text, min: 0, max: low };
    return typeof given === 'number'
      ? { text, min: given, max: given }
      : { text, min: low, max: high };
  });

const name = z.string().regex(/^[\w-]{1,60}$/, 'must be a name of letters, digits, - and _');

const behaviourShape = Object.fromEntries(
  Object.entries({ ...behaviours, ...linkBehaviours }).map(([key, { options, summary }]) => [
    key,
    (options as z.ZodType).optional().describe(summary),
  ]),
);
/** Options by the names of behaviours, checked by each behaviour's own. */
const behaving = z
  .strictObject(behaviourShape)
  .transform((given) => given as Readonly<Record<string, unknown>>);

const url = z
  .string()
  .regex(
    /^(mqtts?|wss?|https?):\/\/.|^serial:./,
    'must be an address such as mqtt://127.0.0.1:1883, mqtts://…, ws://…, http://127.0.0.1:8080 or serial:/dev/ttyUSB0',
  );

const group = z.strictObject({
  shape: z
    .enum(shapeNames as [string, ...string[]])
    .default('greenhouse')
    .describe('What kind of device; tidegate-fleet --list names them.'),
  devices: z.int().min(1).max(100_000).default(1).describe('How many.'),
  every: duration
    .refine((ms) => ms >= 1, 'must be at least 1ms')
    .prefault('1s')
    .describe('From one message of a device to its next.'),
  url: url.optional().describe('Where they send; default: the url of the scenario.'),
  protocol: z
    .union([z.literal(4), z.literal(5)])
    .default(4)
    .describe('4 is MQTT 3.1.1.'),
  qos: z
    .union([z.literal(0), z.literal(1), z.literal(2)])
    .default(1)
    .describe('Quality of service.'),
  username: z.string().optional().describe('Default, with a password: the name of the device.'),
  password: z.string().optional().describe('Of MQTT; of HTTP the token.'),
  prefix: z.string().default('').describe('Put before the names of the devices.'),
  keepaliveSeconds: z.int().min(1).max(65_535).default(60).describe('Of MQTT.'),
  connectRate: z
    .number()
    .positive()
    .default(500)
    .describe('New connections a second at the start.'),
  behaviours: behaving.prefault({}).describe('What they do beside measuring.'),
});

const phase = z.strictObject({
  name: z.string().min(1).describe('For people who watch.'),
  lasts: duration.refine((ms) => ms > 0, 'must be longer than nothing').describe('How long.'),
  groups: z
    .record(name, behaving)
    .prefault({})
    .describe('What groups do in it beside what they always do; times count from its beginning.'),
});

const counts = z.strictObject({
  sent: range.optional(),
  acknowledged: range.optional(),
  refused: range.optional(),
  lost: range.optional(),
  dropped: range.optional(),
  connections: range.optional(),
});

const incident = z.strictObject({
  firing: range.optional().describe('Incidents that began.'),
  resolved: range.optional().describe('Incidents that ended.'),
});

const expecting = z.strictObject({
  lost: range
    .optional()
    .describe(
      'Sent and never acknowledged, by all groups that say nothing of their own. Default: 0.',
    ),
  missing: range.optional().describe('Acknowledged, and never seen by a subscriber. Default: 0.'),
  p99: duration.optional().describe('From sending to being seen by a subscriber, for 99 of 100.'),
  groups: z.record(name, counts).prefault({}).describe('Counts of single groups.'),
  incidents: z.record(name, incident).prefault({}).describe('By the name of the rule.'),
  metrics: z
    .record(z.string(), range)
    .prefault({})
    .describe('By how much a counter of GET /metrics grows: its name, or its name with labels.'),
  influxdb: z
    .strictObject({
      url: z.string().regex(/^https?:\/\/./, 'must be an address such as http://127.0.0.1:8086'),
      database: z.string().min(1),
      token: z.string().optional(),
      queries: z.record(z.string(), range).describe('InfluxQL, and the number that it answers.'),
    })
    .optional()
    .describe('What a sink must hold.'),
});

export const scenarioSchema = z
  .strictObject({
    summary: z.string().min(1).describe('What it shows.'),
    url: url.default('mqtt://127.0.0.1:1883').describe('Where the devices send.'),
    admin: z
      .string()
      .regex(/^https?:\/\/./, 'must be an address such as http://127.0.0.1:8080')
      .default('http://127.0.0.1:8080')
      .describe('Where GET /metrics is.'),
    observer: z
      .strictObject({ username: z.string(), password: z.string() })
      .optional()
      .describe('How the subscriber that checks signs in.'),
    seed: z
      .int()
      .min(0)
      .max(2 ** 32 - 1)
      .default(1),
    lasts: duration
      .optional()
      .describe('How long, where there are no phases. Default: until Ctrl-C.'),
    grace: duration
      .prefault('10s')
      .describe('How long acknowledgements and what is expected are waited for at the end.'),
    groups: z
      .record(name, group)
      .refine((given) => Object.keys(given).length > 0, 'must have at least one group')
      .describe('Devices of one kind each.'),
    phases: z
      .array(phase)
      .default([])
      .describe('One after the other; the end of the last is the end.'),
    expect: expecting
      .optional()
      .describe('What must be true at the end; without it only that nothing is lost.'),
  })
  .superRefine((scenario, context) => {
    const known = Object.keys(scenario.groups);
    const check = (names: string[], path: (string | number)[]): void => {
      for (const each of names) {
        if (known.includes(each)) continue;
        const message = `is no group; there are ${known.join(', ')}`;
        context.addIssue({ code: 'custom', path: [...path, each], message });
      }
    };
    for (const [at, { groups }] of scenario.phases.entries())
      check(Object.keys(groups), ['phases', at, 'groups']);
    check(Object.keys(scenario.expect?.groups ?? {}), ['expect', 'groups']);
    if (scenario.phases.length > 0 && scenario.lasts !== undefined) {
      const message = 'has no meaning beside phases, which say how long they last. Remove it';
      context.addIssue({ code: 'custom', path: ['lasts'], message });
    }
    for (const [each, { url, devices }] of Object.entries(scenario.groups)) {
      if (url?.startsWith('serial:') && devices > 1) {
        const message = 'must be 1: on a serial port there is one device';
        context.addIssue({ code: 'custom', path: ['groups', each, 'devices'], message });
      }
    }
  });

export type Scenario = z.output<typeof scenarioSchema>;
export type Group = z.output<typeof group>;
export type Expectations = z.output<typeof expecting>;
