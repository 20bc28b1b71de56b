import type { CommandGroup } from './command.ts';
import { explain } from './ingest-explain.ts';

export const ingest: CommandGroup = {
  name: 'ingest',
  summary: 'Explain what becomes of a message.',
  commands: [explain],
};
