/** A numbered statement of a specification, in our words. */
export interface Statement {
  /** As in `[MQTT-3.1.0-1]`, without the brackets and the name. */
  readonly id: string;
  readonly side: 'server' | 'client' | 'both';
  readonly text: string;
  /** Why there is no test of it. */
  readonly untested?: string;
}

const line = /^(?<id>[\d.]+-\d+) (?<side>server|client|both) (?<text>.+?)(?: -- (?<untested>.+))?$/;

/** From lines of `<id> <side> <text>`, with ` -- <why it has no test>` behind those without. */
export function parseStatements(lines: string): readonly Statement[] {
  return lines
    .trim()
    .split('\n')
    .map((each) => {
      const found = line.exec(each)?.groups;
      if (found === undefined) throw new Error(`Not a statement: ${each}`);
      const { id, side, text, untested } = found as Record<'id' | 'text', string> & {
        side: Statement['side'];
        untested?: string;
      };
      return { id, side, text, ...(untested === undefined ? {} : { untested }) };
    });
}
