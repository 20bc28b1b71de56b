import { parseAcl } from '../../src/broker/acl.ts';
import { parsePasswords, passwordLine } from '../../src/broker/password-file.ts';
import type { AuthFileContents } from '../../src/source/mqtt-broker.ts';

/** A line of a password file; few rounds, so that tests do not wait. */
export async function userLine(name: string, password: string, iterations = 10): Promise<string> {
  const salt = Buffer.from(`salt of ${name}`);
  return await passwordLine(name, Buffer.from(password), { salt, iterations });
}

/** The files `users` and `acl`, as the broker gets them. */
export function authFiles(texts: { users?: string; acl?: string }): AuthFileContents {
  const passwords = new Map();
  const acls = new Map();
  if (texts.users !== undefined) {
    const { passwords: found, problems } = parsePasswords(texts.users);
    if (problems.length > 0) throw new Error(JSON.stringify(problems));
    passwords.set('users', found);
  }
  if (texts.acl !== undefined) {
    const { acl, problems } = parseAcl(texts.acl);
    if (problems.length > 0) throw new Error(JSON.stringify(problems));
    acls.set('acl', acl);
  }
  return { passwords, acls };
}
