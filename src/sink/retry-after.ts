import type { HttpAnswer } from './http-client.ts';

const waitMaxMs = 3_600_000;

/**
 * How long an answer asks us to wait, in milliseconds, at most an hour; undefined when it does not
 * say. `Retry-After` (RFC 9110, clause 10.2.3) is seconds or a date; the date is held against the
 * server's own clock where it tells, as ours may be wrong.
 */
export function retryAfterMsOf(answer: HttpAnswer, nowMs: number): number | undefined {
  const text = headerOf(answer, 'retry-after')?.trim();
  if (text === undefined || text === '') return undefined;
  let waitMs: number;
  if (/^\d+$/.test(text)) waitMs = Number(text) * 1000;
  else {
    const serverNow = Date.parse(headerOf(answer, 'date') ?? '');
    waitMs = Date.parse(text) - (Number.isNaN(serverNow) ? nowMs : serverNow);
  }
  return Number.isNaN(waitMs) ? undefined : Math.min(Math.max(waitMs, 0), waitMaxMs);
}

function headerOf(answer: HttpAnswer, name: string): string | undefined {
  const value = answer.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
