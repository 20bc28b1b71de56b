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
  const quick = sameDayMsOf(text);
  if (quick >= 0) return quick;
  const parts = iso.exec(text);
  if (parts === null) return Number.NaN;
  const number = (group: number): number => Number(parts[group] ?? 0);
  const [year, month, day] = [number(1), number(2), number(3)];
  const [hour, minute, second] = [number(4), number(5), number(6)];
  if (year < 100 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) {
    return Number.NaN;
  }
  if (hour > 23 || minute > 59 || second > 60) return Number.NaN;
  dayText = text.slice(0, 10);
  dayMs = Date.UTC(year, month - 1, day);
  const zoneMinutes = number(9) * 60 + number(10);
  const ms = Number((parts[7] ?? '').slice(0, 3).padEnd(3, '0'));
  const utc = dayMs + hour * 3_600_000 + minute * 60_000 + second * 1_000 + ms;
  return utc - (parts[8] === '-' ? -zoneMinutes : zoneMinutes) * 60_000;
}

function daysIn(year: number, month: number): number {
  if (month !== 2) return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
}

/** The day that was seen last: most times of a stream share it. */
let dayText = '';
let dayMs = Number.NaN;

/** `2026-11-20T14:09:00.123Z`, with any number of decimals, on the day seen last; else -1. */
function sameDayMsOf(text: string): number {
  const end = text.length - 1;
  if (end < 19 || text.charCodeAt(10) !== 0x54 || text.charCodeAt(end) !== 0x5a) return -1;
  if (dayText === '' || !text.startsWith(dayText)) return -1;
  if (text.charCodeAt(13) !== 0x3a || text.charCodeAt(16) !== 0x3a) return -1;
  const hour = twoDigits(text, 11);
  const minute = twoDigits(text, 14);
  const second = twoDigits(text, 17);
  if (!(hour < 24 && minute < 60 && second < 60)) return -1;
  let ms = 0;
  if (end > 19) {
    if (text.charCodeAt(19) !== 0x2e || end === 20) return -1;
    for (let at = 20; at < end; at++) {
      const digit = text.charCodeAt(at) - 0x30;
      if (!(digit >= 0 && digit <= 9)) return -1;
      if (at < 23) ms += digit * scales[at - 20]!;
    }
  }
  return dayMs + hour * 3_600_000 + minute * 60_000 + second * 1_000 + ms;
}
const scales = [100, 10, 1];

/** NaN for anything but digits. */
function twoDigits(text: string, at: number): number {
  const tens = text.charCodeAt(at) - 0x30;
  const ones = text.charCodeAt(at + 1) - 0x30;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : Number.NaN;
}

const offset = /^([+-])(\d\d):(\d\d)$/;
const namesZone = /(?:[Zz]|[+-]\d\d:?\d\d)$/;
const quarterMs = 900_000;
/** Clocks of devices, and the way of a message, may be off by so much. */
const toleranceMs = 60_000;
const zonesMs = 14 * 3_600_000;

/** Whether a text says in which zone times are: `utc`, `guess`, `+01:00`. */
export function isZone(zone: string): boolean {
  return zone === 'utc' || zone === 'guess' || offset.test(zone);
}

/**
 * What `timestampMsOf` found in a text that names no zone, as a time of that zone. `guess` takes what
 * is a whole number of quarter hours away from the arrival, to the minute, for the local time of now.
 */
export function inZone(ms: number, claim: unknown, zone: string, receivedAt: number): number {
  if (zone === 'utc' || typeof claim !== 'string' || !claim.includes(':')) return ms;
  if (namesZone.test(claim.trim())) return ms;
  const parts = offset.exec(zone);
  if (parts !== null) {
    const shift = (Number(parts[2]) * 60 + Number(parts[3])) * 60_000;
    return parts[1] === '-' ? ms + shift : ms - shift;
  }
  const ahead = ms - receivedAt;
  const shift = Math.round(ahead / quarterMs) * quarterMs;
  const isLocal = Math.abs(shift) <= zonesMs && Math.abs(ahead - shift) <= toleranceMs;
  return isLocal ? ms - shift : ms;
}
