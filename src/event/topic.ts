/** A topic filter of MQTT (OASIS MQTT 5.0, clause 4.7), in which levels may be given names. */
export interface TopicPattern {
  /** The names between braces, in order. */
  readonly captures: readonly string[];
  /** The captured levels, in the order of `captures`; undefined when the topic does not match. */
  match(topic: string): readonly string[] | undefined;
  /** The last level that is a plain word, if there is one. */
  readonly lastWord: string | undefined;
  /** Levels before `#`, or all of them. */
  readonly fixedLevels: number;
}

/**
 * `sensors/{device}/+/#`: `{name}` captures one level that is not empty, `+` is one level, `#` the
 * rest, which may be nothing. A topic that begins with `$` matches no pattern that begins with a
 * wildcard [MQTT-4.7.2-1]. Throws an Error that says what is wrong with the pattern.
 */
export function parseTopicPattern(pattern: string): TopicPattern {
  const levels = pattern.split('/');
  const captures = levels.filter(isCapture).map((level) => level.slice(1, -1));
  levels.forEach((level, index) => {
    const problem = problemOf(level, index === levels.length - 1);
    if (problem !== undefined) throw new Error(problem);
  });
  const twice = captures.find((name, index) => captures.indexOf(name) !== index);
  if (twice !== undefined) throw new Error(`{${twice}} is captured twice`);
  const open = levels.at(-1) === '#';
  const fixed = open ? levels.slice(0, -1) : levels;
  const startsWild = levels[0] === '+' || levels[0] === '#' || isCapture(levels[0]!);
  return {
    captures,
    fixedLevels: fixed.length,
    lastWord: levels.findLast((level) => level !== '' && !isWild(level)),
    match(topic) {
      if (startsWild && topic.startsWith('$')) return undefined;
      const given = topic.split('/');
      if (open ? given.length < fixed.length : given.length !== fixed.length) return undefined;
      const captured: string[] = [];
      for (let index = 0; index < fixed.length; index++) {
        const level = fixed[index]!;
        const word = given[index]!;
        if (level === '+') continue;
        if (isCapture(level) && word !== '') captured.push(word);
        else if (level !== word || isCapture(level)) return undefined;
      }
      return captured;
    },
  };
}

function isCapture(level: string): boolean {
  return level.startsWith('{') && level.endsWith('}');
}

function isWild(level: string): boolean {
  return level === '+' || level === '#' || isCapture(level);
}

function problemOf(level: string, isLast: boolean): string | undefined {
  if (level === '#') return isLast ? undefined : '# may only be the last level';
  if (level === '+') return undefined;
  if (isCapture(level)) {
    return /^\{[A-Za-z_][\w-]*\}$/.test(level)
      ? undefined
      : `${level} is not a name: letters, digits, _ and - may stand between the braces`;
  }
  const odd = /[#+{}]/.exec(level)?.[0];
  return odd === undefined ? undefined : `${odd} must be a whole level, but ${level} holds more`;
}
