import type { Position } from './journal.ts';

/** Positions of what waits, ascending: added at the end, taken from the front and anywhere. */
export class PositionQueue {
  #positions: number[] = [];
  /** Those before it are done with. */
  #head = 0;

  get length(): number {
    return this.#positions.length - this.#head;
  }

  /** Infinity when nothing waits. */
  get oldest(): number {
    return this.#positions[this.#head] ?? Number.POSITIVE_INFINITY;
  }

  get newest(): number {
    return this.length === 0 ? 0 : this.#positions.at(-1)!;
  }

  /** A position that is there already is not added again. */
  add(position: Position): void {
    if (position > this.newest) this.#positions.push(position);
    else {
      const at = this.#indexOf(position);
      if (this.#positions[at] !== position) this.#positions.splice(at, 0, position);
    }
  }

  remove(position: Position): boolean {
    const at = this.#indexOf(position);
    if (this.#positions[at] !== position) return false;
    if (at === this.#head) this.#drop(1);
    else this.#positions.splice(at, 1);
    return true;
  }

  removeUpTo(position: Position): void {
    this.#drop(this.#indexOf(position + 1) - this.#head);
  }

  /** The oldest go. */
  trim(lengthMax: number): void {
    if (this.length > lengthMax) this.#drop(this.length - lengthMax);
  }

  toArray(): Position[] {
    return this.#positions.slice(this.#head);
  }

  /** The first that is not before the position. */
  #indexOf(position: Position): number {
    let low = this.#head;
    let high = this.#positions.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#positions[middle]! < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #drop(count: number): void {
    this.#head += count;
    if (this.#head < 512 && this.length > 0) return;
    this.#positions = this.#positions.slice(this.#head);
    this.#head = 0;
  }
}

/** In base64: the first, then each as its distance from the one before, in varints of 7 bits a byte. */
export function encodePositions(positions: readonly number[]): string {
  const bytes: number[] = [];
  let before = 0;
  for (const position of positions) {
    let rest = position - before;
    before = position;
    // Positions have 48 bits, more than shifts can handle.
    for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
    bytes.push(rest);
  }
  return Buffer.from(bytes).toString('base64');
}

export function decodePositions(text: string): number[] {
  const positions: number[] = [];
  let before = 0;
  let value = 0;
  let scale = 1;
  for (const byte of Buffer.from(text, 'base64')) {
    value += (byte & 127) * scale;
    scale *= 128;
    if (byte > 127) continue;
    before += value;
    positions.push(before);
    value = 0;
    scale = 1;
  }
  return positions;
}
