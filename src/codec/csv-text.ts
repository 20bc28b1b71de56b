/**
 * Rows of cells, as RFC 4180 has them with another delimiter, quote or comment sign where wanted:
 *
 *   a,"b, with ""quotes""",c ⏎       a quoted cell may hold delimiters, quotes and line ends
 */
import { DecodeError } from './codec.ts';

export interface CsvForm {
  readonly delimiter: string;
  /** Empty: there are no quotes. */
  readonly quote: string;
  /** A row that begins so is passed over; empty: none is. */
  readonly comment: string;
}

/** Cells of one row. */
export const cellsMax = 256;

/** Reads one row after the other. */
export interface CsvReader {
  /** From now on the rows of this text. */
  begin(whole: string): void;
  /**
   * The cells of the next row that is not empty, or undefined behind the last; a quoted cell comes
   * with its quotes undone. Throws `DecodeError` that ends with the place, and stands behind the row.
   */
  next(): readonly string[] | undefined;
  /** The line on which the last row began, counted from 1. */
  readonly line: number;
  /** Moves past a line, whatever it holds; false at the end. */
  skip(): boolean;
}

export function createCsvReader(form: CsvForm): CsvReader {
  const { delimiter, quote, comment } = form;
  let text = '';
  let at = 0;
  let line = 1;
  let rowLine = 1;

  const endOfLine = (): number => {
    const end = text.indexOf('\n', at);
    return end < 0 ? text.length : end;
  };
  const skip = (): boolean => {
    if (at >= text.length) return false;
    at = endOfLine() + 1;
    line++;
    return true;
  };

  /** The next delimiter from `at` on; looked for once, however many lines have none. */
  let stop = -1;
  /** A cell that ends at a delimiter or where the line does. */
  const plainCell = (end: number): string => {
    if (stop < at) stop = text.indexOf(delimiter, at);
    if (stop < 0) stop = text.length;
    const start = at;
    at = Math.min(stop, end);
    return text.slice(start, at);
  };

  const quotedCell = (): string => {
    let cell = '';
    for (let start = at + 1; ; start = at + 1) {
      const close = text.indexOf(quote, start);
      if (close < 0) {
        at = text.length;
        throw new DecodeError(`a quoted cell does not end`);
      }
      const piece = text.slice(start, close);
      for (let end = piece.indexOf('\n'); end >= 0; end = piece.indexOf('\n', end + 1)) line++;
      cell += piece;
      at = close + 1;
      if (text[at] !== quote) return cell;
      cell += quote;
    }
  };

  const row = (): string[] => {
    const cells: string[] = [];
    // The end of the line as far as no quoted cell goes beyond it.
    let end = contentEnd(endOfLine());
    for (;;) {
      if (quote !== '' && text[at] === quote) {
        cells.push(quotedCell());
        end = contentEnd(endOfLine());
        if (at < end && text[at] !== delimiter) {
          throw new DecodeError(`something stands behind the quotes of cell ${cells.length}`);
        }
      } else cells.push(plainCell(end));
      if (cells.length > cellsMax) throw new DecodeError(`there are more than ${cellsMax} cells`);
      if (at >= end) return cells;
      at++;
    }
  };
  const contentEnd = (end: number): number => (end > at && text[end - 1] === '\r' ? end - 1 : end);

  return {
    begin(whole) {
      text = whole;
      at = 0;
      line = 1;
      rowLine = 1;
      stop = -1;
    },
    get line() {
      return rowLine;
    },
    skip,
    next() {
      while (at < text.length) {
        const isComment = comment !== '' && text.startsWith(comment, at);
        if (!isComment && contentEnd(endOfLine()) > at) break;
        skip();
      }
      if (at >= text.length) return undefined;
      rowLine = line;
      try {
        return row();
      } finally {
        skip();
      }
    },
  };
}
