/**
 * JSON for data that JSON has no words for: `["$", "<kind>", "<text>"]` stands for a bigint (`n`) or
 * a number (`d`), and any array that begins with `"$"` itself is written with `"$$"` in its place.
 */

/** Whether JSON alone would bring the data back as it is. */
export function isPlainJson(data: unknown): boolean {
  switch (typeof data) {
    case 'number':
      return Number.isFinite(data) && !Object.is(data, -0);
    case 'bigint':
      return false;
    case 'object':
      if (data === null) return true;
      for (const value of Object.values(data)) if (!isPlainJson(value)) return false;
      return true;
    default:
      return true;
  }
}

export function stringifyMarked(data: unknown): string {
  return JSON.stringify(mark(data));
}

function mark(data: unknown): unknown {
  if (typeof data === 'bigint') return ['$', 'n', String(data)];
  if (typeof data === 'number') {
    return isPlainJson(data) ? data : ['$', 'd', Object.is(data, -0) ? '-0' : String(data)];
  }
  if (typeof data !== 'object' || data === null) return data;
  if (Array.isArray(data)) {
    const marked = data.map(mark);
    if (typeof data[0] === 'string' && /^\$+$/.test(data[0])) marked[0] = `$${data[0]}`;
    return marked;
  }
  return mapped(data, mark);
}

export function parseMarked(text: string): unknown {
  return unmark(JSON.parse(text));
}

function unmark(data: unknown): unknown {
  if (typeof data !== 'object' || data === null) return data;
  if (!Array.isArray(data)) return mapped(data, unmark);
  if (data[0] === '$') return data[1] === 'n' ? BigInt(data[2]) : Number(data[2]);
  const plain = data.map(unmark);
  if (typeof data[0] === 'string' && /^\$+$/.test(data[0])) plain[0] = data[0].slice(1);
  return plain;
}

/** `fromEntries` defines its properties, so that a key named `__proto__` is a key like any other. */
const mapped = (data: object, change: (value: unknown) => unknown): unknown =>
  Object.fromEntries(Object.entries(data).map(([key, value]) => [key, change(value)]));
