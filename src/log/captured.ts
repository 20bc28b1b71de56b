import type { Turns } from '../platform/turns.ts';
import type { Position } from './log.ts';
import { linesOf, type SavedLine } from './record-lines.ts';

/** A position, with the state that belongs to it, as it goes to disk. */
export class Captured {
  readonly position: Position;
  #line: SavedLine | undefined;
  #json = '';
  readonly #isToldApart: boolean;

  /** What is told apart must not change from now on: it is written when there is time. */
  constructor(line: SavedLine, isToldApart: boolean) {
    this.position = line.position;
    this.#line = line;
    this.#isToldApart = isToldApart;
    if (!isToldApart) this.#wrote([...linesOf(line, false)]);
  }

  /** Its lines. */
  get json(): string {
    if (this.#line !== undefined) this.#wrote([...linesOf(this.#line, this.#isToldApart)]);
    return this.#json;
  }

  /** The same, written in turns. */
  async write(turns: Turns): Promise<string> {
    if (this.#line === undefined) return this.#json;
    const lines: string[] = [];
    for (const line of linesOf(this.#line, this.#isToldApart)) {
      lines.push(line);
      const { rest } = turns;
      if (rest !== undefined) await rest;
    }
    this.#wrote(lines);
    return this.#json;
  }

  #wrote(lines: readonly string[]): void {
    this.#json = lines.join('\n');
    // It may be large: that it is there as JSON is enough.
    this.#line = undefined;
  }
}
