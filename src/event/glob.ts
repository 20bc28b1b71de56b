/** Says yes to the texts that any of the patterns matches: `*` is any run of characters, `?` one. */
export function createGlob(patterns: string | readonly string[]): (text: string) => boolean {
  if (typeof patterns === 'string') return globOf(patterns);
  const globs = patterns.map(globOf);
  if (globs.length === 1) return globs[0]!;
  if (patterns.every((pattern) => !isGlob(pattern))) {
    const names = new Set(patterns);
    return (text) => names.has(text);
  }
  return (text) => globs.some((glob) => glob(text));
}

function isGlob(pattern: string): boolean {
  return pattern.includes('*') || pattern.includes('?');
}

function globOf(pattern: string): (text: string) => boolean {
  if (!isGlob(pattern)) return (text) => text === pattern;
  if (/^\*+$/.test(pattern)) return () => true;
  const ends = /^(\*?)([^*?]*)(\*?)$/.exec(pattern);
  if (ends !== null) {
    const [, before, part, after] = ends as unknown as [string, string, string, string];
    if (before === '') return (text) => text.startsWith(part);
    return after === '' ? (text) => text.endsWith(part) : (text) => text.includes(part);
  }
  return (text) => matches(pattern, text);
}

/** Never slower than pattern times text, which cannot be said of a regular expression. */
function matches(pattern: string, text: string): boolean {
  let inPattern = 0;
  let inText = 0;
  let star = -1;
  let resume = 0;
  while (inText < text.length) {
    const wanted = pattern[inPattern];
    if (wanted === '*') {
      star = inPattern++;
      resume = inText;
    } else if (wanted === '?' || wanted === text[inText]) {
      inPattern++;
      inText++;
    } else if (star >= 0) {
      // The latest star takes one character more.
      inPattern = star + 1;
      inText = ++resume;
    } else {
      return false;
    }
  }
  while (pattern[inPattern] === '*') inPattern++;
  return inPattern === pattern.length;
}
