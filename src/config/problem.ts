import { GatewayError } from '../platform/errors.ts';

/** From the whole configuration to one value: keys and positions in lists. */
export type Path = readonly (string | number)[];

/** One thing that is wrong, and what to do about it. */
export interface Problem {
  /** `tidegate.yaml:3:5`, or the name of an environment variable. */
  readonly where: string;
  /** `broker.listeners[0].port`; empty for the whole configuration. */
  readonly path: string;
  /** What is wrong, then the remedy; whole sentences but for the subject, which is the path. */
  readonly message: string;
}

/** The configuration cannot be used; the message has a line for every problem, in their order. */
export class ConfigError extends GatewayError {
  readonly problems: readonly Problem[];
  constructor(found: readonly Problem[]) {
    const problems = inOrder(found);
    const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
    super('GW_CONFIG_INVALID', [`${count}.`, ...problems.map(lineOf)].join('\n'));
    this.problems = problems;
  }
}

/** By line and column; what comes from the environment last, by name. */
function inOrder(problems: readonly Problem[]): Problem[] {
  const key = ({ where }: Problem): string => {
    const place = /:(\d+):(\d+)$/.exec(where);
    if (place === null) return where.startsWith('TIDEGATE_') ? `2 ${where}` : '0';
    return `1 ${place[1]!.padStart(9, '0')} ${place[2]!.padStart(9, '0')}`;
  };
  return problems.toSorted((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
}

/** `tidegate.yaml:3:5: broker.listeners[0].port: must be a number, not "x".` */
export function lineOf({ where, path, message }: Problem): string {
  return [where, path, message].filter((part) => part !== '').join(': ');
}

/** `broker.listeners[0].port` */
export function pathText(path: Path): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else if (/^[\w-]+$/.test(step)) text += text === '' ? step : `.${step}`;
    else text += `[${JSON.stringify(step)}]`;
  }
  return text;
}

/** A value as words about it quote it: short, and on one line. */
export function shownValue(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping of keys';
  const text = typeof value === 'bigint' ? String(value) : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}…"` : text;
}

const secretName = /pass(word|phrase)|token|secret|credential|^key$|Key$/i;

/** Whether a value at the path may be a secret, which words about it must not show. */
export function isSecretPath(path: Path): boolean {
  return path.some((step) => typeof step === 'string' && secretName.test(step));
}

/** The value at a path of plain data. */
export function valueAt(root: unknown, path: Path): unknown {
  let value = root;
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    if (!Object.hasOwn(value, step)) return undefined;
    value = (value as Record<string | number, unknown>)[step];
  }
  return value;
}
