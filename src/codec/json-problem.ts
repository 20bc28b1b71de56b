/**
 * Where a text stops being JSON, and what stands there. The messages of `JSON.parse` differ from
 * one version of the engine to the next, and often name no place.
 *
 *   value   = object | array | string | number | true | false | null          RFC 8259
 *   object  = { name : value , … }        array = [ value , … ]
 */
const space = /[ \t\n\r]*/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: a JSON string may hold none of them.
const stringToken = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*"/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the same.
const stringBeginning = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*/y;
const numberToken = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const wordToken = /true|false|null/y;

/** Deeper nesting is not looked into. */
const levelsMax = 64;

/**
 * What is wrong with a text that `JSON.parse` refuses: `expected a colon at character 7, found "}"`.
 * Characters are counted from 1.
 */
export function jsonProblemOf(text: string): string {
  const scan = createScan(text);
  const expected = scan.document();
  const found =
    scan.at >= text.length
      ? 'the end'
      : JSON.stringify(String.fromCodePoint(text.codePointAt(scan.at)!));
  return `expected ${expected} at character ${scan.at + 1}, found ${found}`;
}

/** Each function moves `at` behind what it is named after, or returns what it expected there. */
function createScan(text: string) {
  let at = 0;
  const take = (token: RegExp): boolean => {
    token.lastIndex = at;
    const taken = token.test(text);
    if (taken) at = token.lastIndex;
    return taken;
  };
  const mark = (wanted: string): boolean => {
    take(space);
    if (text[at] !== wanted) return false;
    at++;
    return true;
  };
  const badString = (): string => {
    take(stringBeginning);
    if (at >= text.length) return 'the end of a string';
    return text[at] === '\\' ? 'a valid escape' : 'no control character in a string';
  };
  const value = (level: number): string | undefined => {
    if (level > levelsMax) return `no more than ${levelsMax} levels`;
    take(space);
    if (text[at] === '{') return list('}', () => member(level));
    if (text[at] === '[') return list(']', () => value(level + 1));
    if (text[at] === '"') return take(stringToken) ? undefined : badString();
    return take(numberToken) || take(wordToken) ? undefined : 'a value';
  };
  const list = (close: '}' | ']', item: () => string | undefined): string | undefined => {
    at++;
    if (mark(close)) return undefined;
    do {
      const expected = item();
      if (expected !== undefined) return expected;
    } while (mark(','));
    return mark(close) ? undefined : `a comma or ${close}`;
  };
  const member = (level: number): string | undefined => {
    take(space);
    if (text[at] !== '"') return 'a name in double quotes';
    if (!take(stringToken)) return badString();
    return mark(':') ? value(level + 1) : 'a colon';
  };
  return {
    get at() {
      return at;
    },
    document(): string {
      const expected = value(0);
      if (expected !== undefined) return expected;
      take(space);
      return 'nothing more';
    },
  };
}
