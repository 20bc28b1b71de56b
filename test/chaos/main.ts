import { writeFile } from 'node:fs/promises';
import { chaosOptionsOf, help, UsageError } from './options.ts';
import { reportOf } from './report.ts';
import { tryRivals } from './rivals.ts';
import { runChaos } from './run.ts';

const rivalMessages = 5_000;

/** Resolves with the exit status: 0 nothing lost, 1 something lost, 2 wrong usage. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    const options = chaosOptionsOf(args);
    if (options === undefined) {
      process.stdout.write(help);
      return 0;
    }
    const say = (line: string): void => void process.stderr.write(`${line}\n`);
    say(`Chaos for ${options.seconds} s, --seed ${options.seed}.`);
    const outcome = await runChaos(options, say);
    const rivals = options.rivals ? await tryRivals(rivalMessages) : [];
    const report = reportOf(options, outcome, rivals);
    process.stdout.write(`${report}\n`);
    if (options.report !== undefined) await writeFile(options.report, report);
    return outcome.verdict.problems.length === 0 ? 0 : 1;
  } catch (error) {
    const isUsage =
      error instanceof UsageError ||
      String((error as NodeJS.ErrnoException).code).startsWith('ERR_PARSE_ARGS');
    if (!isUsage) throw error;
    process.stderr.write(`chaos: ${(error as Error).message}\nSee npm run chaos -- --help.\n`);
    return 2;
  }
}
