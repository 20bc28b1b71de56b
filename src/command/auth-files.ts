import { isAbsolute, relative, resolve } from 'node:path';
import { type Acl, type FileProblem, parseAcl } from '../broker/acl.ts';
import { type Passwords, parsePasswords } from '../broker/password-file.ts';
import type { LoadedConfig } from '../config/load.ts';
import { type Path, type Problem, pathText } from '../config/problem.ts';
import { messageOf } from '../platform/errors.ts';
import { readTextFile } from '../platform/text-file.ts';
import type { AuthFileContents } from '../source/mqtt-broker.ts';

export interface LoadedAuthFiles {
  readonly files: AuthFileContents;
  /** Each with its place: in the file, or in the configuration that names it. */
  readonly problems: readonly Problem[];
}

/** Reads the users and rights that the broker is configured with, and says all that is wrong. */
export async function readAuthFiles(loaded: LoadedConfig, cwd: string): Promise<LoadedAuthFiles> {
  const passwords = new Map<string, Passwords>();
  const acls = new Map<string, Acl>();
  const problems: Problem[] = [];
  for (const { name, key, path } of filesIn(loaded)) {
    if ((key === 'passwordFile' ? passwords : acls).has(name)) continue;
    const full = resolve(loaded.folder, name);
    const place = { where: loaded.whereIs(path), path: pathText(path) };
    try {
      const text = await readTextFile(full);
      if (text === undefined) {
        problems.push({ ...place, message: `there is no file ${name}. ${remedies[key]}` });
        continue;
      }
      problems.push(...parsed(key, name, text).map((each) => placed(each, shown(full, cwd))));
    } catch (error) {
      problems.push({ ...place, message: `${name} cannot be read: ${messageOf(error)}.` });
    }
  }
  return { files: { passwords, acls }, problems };

  function parsed(key: FileKey, name: string, text: string): readonly FileProblem[] {
    if (key === 'aclFile') {
      const { acl, problems } = parseAcl(text);
      acls.set(name, acl);
      return problems;
    }
    const { passwords: found, problems } = parsePasswords(text);
    passwords.set(name, found);
    return problems;
  }
}

type FileKey = 'passwordFile' | 'aclFile';
const remedies: Readonly<Record<FileKey, string>> = {
  passwordFile: 'Make it with: tidegate passwd FILE USER.',
  aclFile: 'Correct the path.',
};

/** Every file that is named, of the broker and of its listeners. */
function filesIn({ config }: LoadedConfig): { name: string; key: FileKey; path: Path }[] {
  const auths: { readonly auth: object | undefined; readonly path: Path }[] = [
    { auth: config.broker.auth, path: ['broker', 'auth'] },
    ...config.broker.listeners.map(({ auth }, index) => ({
      auth,
      path: ['broker', 'listeners', index, 'auth'],
    })),
  ];
  return auths.flatMap(({ auth, path }) =>
    (Object.keys(remedies) as FileKey[]).flatMap((key) => {
      const name = (auth as Readonly<Record<FileKey, string | undefined>> | undefined)?.[key];
      return name === undefined ? [] : [{ name, key, path: [...path, key] }];
    }),
  );
}

function placed({ line, column, message }: FileProblem, file: string): Problem {
  return { where: `${file}:${line}:${column}`, path: '', message };
}

function shown(full: string, cwd: string): string {
  const short = relative(cwd, full);
  return short.startsWith('..') || isAbsolute(short) ? full : short;
}
