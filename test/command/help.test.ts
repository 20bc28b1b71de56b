import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import { commands } from '../../src/command/index.ts';
import { runCommand } from './command-line.ts';

const around = { cwd: tmpdir() };
const run = (...given: string[]) => runCommand(given, around);

test('the list of commands has each, with the words it says of itself', async () => {
  const { status, out } = await run('--help');
  expect(status).toBe(0);
  const width = Math.max(...commands.map(({ name }) => name.length));
  for (const { name, summary, load } of commands) {
    const loaded = await load();
    expect([loaded.name, loaded.summary]).toEqual([name, summary]);
    expect(out).toContain(`  ${name.padEnd(width)}  ${summary}\n`);
  }
  expect((await run('-h')).out).toBe(out);
  expect((await run('help')).out).toBe(out);
});

test('every command explains itself, with every option', async () => {
  for (const { name, load } of commands) {
    const loaded = await load();
    const inner = 'commands' in loaded ? loaded.commands : [loaded];
    for (const each of inner) {
      const path = 'commands' in loaded ? [name, each.name] : [name];
      const { status, out, err } = await run(...path, '--help');
      expect([status, err]).toEqual([0, '']);
      expect(out).toContain(`Usage: tidegate ${path.join(' ')}`);
      for (const option of Object.keys(each.options)) {
        expect(out, path.join(' ')).toMatch(new RegExp(`--${option}\\b.* \\S`));
        const { short = '' } = each.options[option]!;
        const isShown = each.usage.includes(`--${option}`) || each.usage.includes(`[-${short} `);
        // Where the line would be too long, the one that all have is left out.
        expect(isShown || option === 'config', `${path.join(' ')} --${option}`).toBe(true);
      }
      for (const line of out.split('\n')) expect(line.length, line).toBeLessThanOrEqual(100);
    }
    if ('commands' in loaded) expect((await run(name, '--help')).out).toContain(inner[0]!.summary);
  }
});

test('wrong usage is status 2, with what was probably meant, on standard error', async () => {
  const names = commands.map(({ name }) => name).join(', ');
  const cases: [given: string[], said: string][] = [
    [['chekc'], 'Unknown command: chekc. Did you mean check?\nTry: tidegate --help'],
    [['frobnicate'], `Unknown command: frobnicate. There are ${names}.`],
    [['--config', 'x', 'run'], `The command comes first: ${names}.`],
    [
      ['check', '--confg', 'x'],
      'Unknown option --confg. Did you mean --config?\nTry: tidegate check --help',
    ],
    [['check', '-x'], 'Unknown option -x. Possible: --config, --data, --connect, --help.'],
    [['check', '--config'], '--config needs a value: --config FILE.'],
    [['check', '--config='], '--config needs a value: --config FILE.'],
    [['check', '--connect=yes'], '--connect takes no value.'],
    [['check', 'tidegate.yaml'], 'Unexpected argument tidegate.yaml.'],
    [
      ['log', 'stats'],
      'Unknown command of tidegate log: stats. Did you mean stat?\nTry: tidegate log --help',
    ],
    [['log', 'stat', '--constructor'], 'Unknown option --constructor.'],
    [['log', 'export', '--from', 'yesterday'], '--from takes a time such as 2026-11-20T14:00:00Z'],
    [['log', 'export', '--type', 'alerts'], 'not alerts. Did you mean alert?'],
    [['log', 'tail', '-n', 'many'], '--lines takes a whole number'],
  ];
  for (const [given, said] of cases) {
    const { status, out, err } = await run(...given);
    expect([status, out], given.join(' ')).toEqual([2, '']);
    expect(err).toContain(said);
  }
  for (const given of [[], ['log']]) {
    const { status, out, err } = await run(...given);
    expect([status, out]).toEqual([2, '']);
    expect(err).toContain('Usage: tidegate');
  }
});

test('the schema is the JSON Schema of the configuration', async () => {
  const { status, out } = await run('schema');
  expect(status).toBe(0);
  const schema = JSON.parse(out);
  expect(schema.$schema).toBe('https://json-schema.org/draft/2020-12/schema');
  expect(Object.keys(schema.properties)).toEqual([
    'gateway',
    'data',
    'log',
    'broker',
    'ingest',
    'profiles',
    'schemas',
    'sources',
    'rules',
    'sinks',
    'admin',
  ]);
});

test('what replay would ignore, or what would select nothing, is refused before anybody is asked', async () => {
  const from = ['replay', '--sink', 'one', '--from', '1h'];
  for (const [given, said] of [
    [[...from, '--type', 'readings'], 'not readings. Did you mean reading?'],
    [[...from, '--status'], '--status does not go with --sink.'],
    [[...from, '--cancel'], '--cancel does not go with --from.'],
    [['replay', '--cancel', '--sink', 'one', '--dry-run'], '--cancel does not go with --dry-run.'],
  ] as const) {
    const { status, err } = await run(...given);
    expect([status, err.includes(said)], err).toEqual([2, true]);
  }
});
