import { type Command, exitStatus } from './command.ts';

/** Prints the JSON Schema of the configuration. */
export const schema: Command = {
  name: 'schema',
  summary: 'Print the JSON Schema of the configuration, for editors.',
  usage: '',
  options: {},
  notes: [
    'In an editor with the YAML language server, this first line of tidegate.yaml makes it',
    'complete and check while you type:',
    '  # yaml-language-server: $schema=tidegate.schema.json',
  ].join('\n'),
  async run({ print }) {
    const { editorSchema } = await import('../config/json-schema.ts');
    await print(`${JSON.stringify(editorSchema(), null, 2)}\n`);
    return exitStatus.done;
  },
};
