import { type Context, createContext, Script } from 'node:vm';

/** A regular expression that took longer with a text than it may. */
export class PatternTimeout extends Error {
  override readonly name = 'PatternTimeout';
}

/** Beyond it a text is not worth the time that a whole program waits. */
const testMaxMs = 100;
/** With at most one repetition and no group, a text of this length takes no time to speak of. */
const plainTextLength = 1_000;

let context: Context | undefined;
const script = new Script('pattern.test(text)');

/**
 * A regular expression whose `test` ends within 100 ms, by throwing a `PatternTimeout` if need be: some,
 * such as `^(a+)+$`, would take years for a text that somebody chose well. Throws a SyntaxError for what
 * is none.
 */
export function boundedRegExp(source: string, flags: string): { test(text: string): boolean } {
  const pattern = new RegExp(source, flags);
  const isPlain = !source.includes('(') && (source.match(/[*+}]/g) ?? []).length <= 1;
  return {
    test(text) {
      if (isPlain && text.length <= plainTextLength) return pattern.test(text);
      context ??= createContext(Object.create(null));
      Object.assign(context, { pattern, text });
      try {
        return script.runInContext(context, { timeout: testMaxMs }) === true;
      } catch (error) {
        if ((error as { code?: string }).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
        throw new PatternTimeout(`the pattern ${source} takes longer than ${testMaxMs} ms`);
      } finally {
        Object.assign(context, { text: '' });
      }
    },
  };
}
