/** How a payload writes its time; `auto` takes ISO 8601 text, and guesses the unit of a number. */
export const timeUnits = ['auto', 's', 'ms', 'us', 'ns', 'iso'] as const;
export type TimeUnit = (typeof timeUnits)[number];

const msPerUnit = { s: 1_000, ms: 1, us: 1e-3, ns: 1e-6 } as const;

/**
 * Whole milliseconds since the epoch, or NaN for what is no time. A number may come as text. The
 * unit of a number is guessed by its size: as seconds it must lie before the year 5138, as
 * milliseconds too, and so on, which is right for every time from 1973 on.
 */
export function timestampMsOf(claim: unknown, unit: TimeUnit): number {
  if (typeof claim === 'number') return msOf(claim, unit);
  if (typeof claim === 'bigint') return msOf(Number(claim), unit);
  if (typeof claim !== 'string') return Number.NaN;
  const text = claim.trim();
  if (/^[+-]?\d+(\.\d+)?$/.test(text)) return msOf(Number(text), unit);
  return unit === 'auto' || unit === 'iso' ? isoMsOf(text) : Number.NaN;
}

function msOf(value: number, unit: TimeUnit): number {
  if (unit === 'iso') return Number.NaN;
  return Math.round(value * msPerUnit[unit === 'auto' ? guessedUnit(Math.abs(value)) : unit]);
}

function guessedUnit(size: number): keyof typeof msPerUnit {
  if (size < 1e11) return 's';
  if (size < 1e14) return 'ms';
  return size < 1e17 ? 'us' : 'ns';
}

const iso =
  /^(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?\s?(?:[Zz]|([+-])(\d\d):?(\d\d)?)?)?$/;

/**
 * Milliseconds since the epoch of a date, or a date and time, in the profile of RFC 3339; NaN for
 * anything else. Without a zone it is taken as UTC. Digits beyond milliseconds are cut off; second
 * 60 is the first of the next minute.
 */
export function isoMsOf(text: string): number {
  const parts = iso.exec(text);
  if (parts === null) return Number.NaN;
  const number = (group: number): number => Number(parts[group] ?? 0);
  const [year, month, day] = [number(1), number(2), number(3)];
  const [hour, minute, second] = [number(4), number(5), number(6)];
  if (year < 100 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) {
    return Number.NaN;
  }
  if (hour > 23 || minute > 59 || second > 60) return Number.NaN;
  const zoneMinutes = number(9) * 60 + number(10);
  const ms = Number((parts[7] ?? '').slice(0, 3).padEnd(3, '0'));
  const utc = Date.UTC(year, month - 1, day, hour, minute, second, ms);
  return utc - (parts[8] === '-' ? -zoneMinutes : zoneMinutes) * 60_000;
}

function daysIn(year: number, month: number): number {
  if (month !== 2) return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
}
