type LogLevel = 'error' | 'warn' | 'info' | 'debug';
type LogFields = Readonly<Record<string, unknown>>;
type Print = (level: LogLevel, fields: LogFields, message: string) => void;

/** Names of fields that tell one part from another: the same words about another part are news. */
const partFields = ['sink', 'source', 'reader', 'rule', 'listener', 'address', 'file', 'code'];

/** Different messages remembered at once; the oldest is forgotten first. */
const keysMax = 500;

interface Repeated {
  level: LogLevel;
  fields: LogFields;
  suppressed: number;
}

/**
 * Prints the first of equal messages at once and holds back the others for `windowMs`; then the
 * last one held back is printed with `suppressed`, the number of those that were not. `warn` and
 * `error` are equal when message and part are, `info` only when every field is; `debug` always
 * passes.
 */
export function createRepeatLimit(print: Print, windowMs: number): Print {
  const windows = new Map<string, Repeated>();
  const end = (key: string, message: string, window: Repeated): void => {
    if (windows.get(key) !== window) return;
    windows.delete(key);
    if (window.suppressed === 0) return;
    const suppressed = window.suppressed - 1;
    print(window.level, suppressed > 0 ? { ...window.fields, suppressed } : window.fields, message);
    begin(key, window.level, window.fields, message);
  };
  const begin = (key: string, level: LogLevel, fields: LogFields, message: string): void => {
    if (windows.size >= keysMax) windows.delete(windows.keys().next().value!);
    const window = { level, fields, suppressed: 0 };
    windows.set(key, window);
    setTimeout(end, windowMs, key, message, window).unref();
  };
  return (level, fields, message) => {
    const key = level === 'debug' ? undefined : keyOf(level, fields, message);
    const window = key === undefined ? undefined : windows.get(key);
    if (window !== undefined) {
      window.fields = fields;
      window.suppressed += 1;
      return;
    }
    print(level, fields, message);
    if (key !== undefined) begin(key, level, fields, message);
  };
}

/** Undefined when the fields cannot be compared; such a message always passes. */
function keyOf(level: LogLevel, fields: LogFields, message: string): string | undefined {
  try {
    if (level === 'info') return `${message}\n${JSON.stringify(fields)}`;
    let key = `${level}\n${message}`;
    for (const name of partFields) if (name in fields) key += `\n${name}=${String(fields[name])}`;
    return key;
  } catch {
    return undefined;
  }
}
