import { UsageError } from './command.ts';

const unitsMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** RFC 3339, of which the end may be left out; without an offset it is UTC, as all we print. */
const rfc3339 = /^\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:\d\d)?)?$/;

/**
 * A moment as people give it: RFC 3339, or how long ago (`15m`, `24h`). Milliseconds since the
 * epoch; throws `UsageError`.
 */
export function momentOf(option: string, text: string, now: number): number {
  const ago = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text);
  if (ago !== null) return now - Number(ago[1]) * unitsMs[ago[2]!]!;
  const at = rfc3339.test(text) ? Date.parse(isoOf(text)) : Number.NaN;
  if (!Number.isNaN(at)) return at;
  throw new UsageError(
    `--${option} takes a time such as 2026-11-20T14:00:00Z, or how long ago, such as 15m or 24h; not ${text}.`,
  );
}

function isoOf(text: string): string {
  const time = text.length === 10 ? `${text}T00:00` : text.replace(' ', 'T').toUpperCase();
  return /(Z|[+-]\d\d:\d\d)$/.test(time) ? time : `${time}Z`;
}
