import { relative, resolve, sep } from 'node:path';
import { realFolderOf } from '../platform/folder.ts';
import type { Config } from './config.ts';
import { type Path, type Problem, pathText } from './problem.ts';

/**
 * A problem for every `file` sink whose folder is that of another, or within it: each writes at an
 * end that it alone knows, so one would overwrite what the other wrote.
 */
export async function archiveProblems(
  sinks: Config['sinks'],
  dataDir: string,
  whereIs: (path: Path) => string,
): Promise<Problem[]> {
  const seen: { readonly name: string; readonly folder: string }[] = [];
  const problems: Problem[] = [];
  for (const [name, sink] of Object.entries(sinks)) {
    if (sink.kind !== 'file') continue;
    const folder = await realFolderOf(resolve(dataDir, sink.path));
    for (const other of seen) {
      const how = relationOf(folder, other.folder);
      if (how === undefined) continue;
      const path = ['sinks', name, 'path'];
      const message = `${how} sinks.${other.name}: one would overwrite what the other writes. Give ${other.name} and ${name} folders of their own, side by side.`;
      problems.push({ where: whereIs(path), path: pathText(path), message });
      break;
    }
    seen.push({ name, folder });
  }
  return problems;
}

function relationOf(folder: string, other: string): string | undefined {
  if (folder === other) return 'is also the folder of';
  if (isWithin(folder, other)) return 'lies within the folder of';
  return isWithin(other, folder) ? 'contains the folder of' : undefined;
}

function isWithin(folder: string, outer: string): boolean {
  const way = relative(outer, folder);
  return way !== '..' && !way.startsWith(`..${sep}`) && way !== '';
}
