import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { passwordLine, scramLine, userNameProblem } from '../broker/password-file.ts';
import { messageOf } from '../platform/errors.ts';
import { replaceSecretFile } from '../platform/secret-file.ts';
import { readTextFile } from '../platform/text-file.ts';
import { type Command, type Context, exitStatus, UsageError } from './command.ts';

/**
 * Makes each guess cost about 10 ms on a small machine, and a thousand devices that come back after
 * a restart some seconds.
 */
const iterations = 10_000;
const saltBytes = 12;
const passwordBytesMax = 65_535;

/** Adds, changes or deletes a user in a password file, in Mosquitto's format. */
export const passwd: Command = {
  name: 'passwd',
  summary: 'Add or change a user of the broker, or delete one.',
  usage: '[--delete] [--scram] FILE USER',
  options: {
    delete: { short: 'D', description: 'Delete the user.' },
    scram: { description: 'Let the user also log in by SCRAM-SHA-256. Mosquitto cannot.' },
  },
  words: { min: 2, max: 2 },
  notes:
    'Asks for the password twice on a terminal; else reads a line of standard input. Files of\nmosquitto_passwd serve as well. A gateway that runs reads the file when it is started again.',
  async run(context) {
    const [file, name] = context.words as [string, string];
    const problem = userNameProblem(name);
    if (problem !== undefined) throw new UsageError(problem);
    const path = resolve(context.cwd, file);
    try {
      const lines = linesOf(await readTextFile(path));
      const makeLine = context.options.scram === undefined ? passwordLine : scramLine;
      const isDeletion = context.options.delete !== undefined;
      const isKnown = lines.some((line) => nameOf(line) === name);
      if (isDeletion && !isKnown) {
        context.say(`There is no user ${name} in ${file}.`);
        return exitStatus.failed;
      }
      const password = isDeletion ? undefined : await askPassword(context, name);
      if (!isDeletion && password === undefined) return exitStatus.failed;
      const line =
        password === undefined
          ? undefined
          : await makeLine(name, password, { salt: randomBytes(saltBytes), iterations });
      const text = replaced(lines, name, line).map((each) => `${each}\n`);
      await replaceSecretFile(path, text.join(''));
      const done = isDeletion ? 'Deleted' : isKnown ? 'Changed' : 'Added';
      context.say(`${done} ${name} in ${file}. It counts from the next start of the gateway on.`);
      return exitStatus.done;
    } catch (error) {
      if (error instanceof UsageError) throw error;
      context.say(`${file} cannot be changed: ${messageOf(error)}.`);
      return exitStatus.failed;
    }
  },
};

function linesOf(text: string | undefined): string[] {
  if (text === undefined || text === '') return [];
  return text.replace(/\n$/, '').split('\n');
}

/** The user that a line is about. */
function nameOf(line: string): string | undefined {
  const colon = line.indexOf(':');
  return colon < 0 || line.startsWith('#') ? undefined : line.slice(0, colon).trim();
}

/** The lines with that of the user in its place, or at the end; without it when there is none. */
function replaced(lines: readonly string[], name: string, line: string | undefined): string[] {
  const at = lines.findIndex((each) => nameOf(each) === name);
  const others = lines.filter((each, index) => nameOf(each) !== name || index === at);
  if (at < 0) return line === undefined ? others : [...others, line];
  return others.flatMap((each, index) =>
    index !== at ? [each] : line === undefined ? [] : [line],
  );
}

/** Undefined, when it has been said why there is none. */
async function askPassword({ say }: Context, name: string): Promise<Buffer | undefined> {
  let password: string | undefined;
  if (process.stdin.isTTY === true) {
    const [first, second] = await askHidden(`Password for ${name}: `, 'Once more: ');
    password = first;
    if (first !== undefined && first !== second) {
      say('The two are not the same. Nothing was changed.');
      return undefined;
    }
  } else {
    password = (await readAll(process.stdin)).split(/\r?\n/, 1)[0];
  }
  const bytes = Buffer.from(password ?? '');
  if (bytes.length > 0 && bytes.length <= passwordBytesMax) return bytes;
  say(
    bytes.length === 0
      ? 'No password was given. Nothing was changed.'
      : `A password has at most ${passwordBytesMax} bytes. Nothing was changed.`,
  );
  return undefined;
}

async function readAll(input: NodeJS.ReadableStream): Promise<string> {
  let text = '';
  for await (const chunk of input) {
    text += chunk;
    if (text.includes('\n') || text.length > passwordBytesMax) break;
  }
  return text;
}

/** Lines from the terminal, which does not show them; fewer after Ctrl-C and Ctrl-D. */
async function askHidden(...questions: readonly string[]): Promise<string[]> {
  const nowhere = new Writable({ write: (_bytes, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  const answers: string[] = [];
  process.stderr.write(questions[0]!);
  await new Promise<void>((done) => {
    lines.on('line', (line) => {
      process.stderr.write('\n');
      answers.push(line);
      if (answers.length < questions.length) process.stderr.write(questions[answers.length]!);
      else lines.close();
    });
    lines.once('SIGINT', () => lines.close());
    lines.once('close', () => done());
  });
  if (answers.length < questions.length) process.stderr.write('\n');
  return answers;
}
