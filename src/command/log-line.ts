import type { CloudEvent, Value } from '../event/event.ts';
import type { Entry } from '../log/log.ts';

/**
 * One event for people, on one line:
 *
 *   1042 2026-11-20T14:09:00.123Z reading gh-07 climate temperature=31.2 humidity=40 site=north
 */
export function logLineOf(entry: Entry): string {
  const parts = [
    String(entry.position),
    isoOf(entry.time),
    entry.type,
    entry.subject === '' ? '-' : entry.subject,
    detailOf(entry),
  ];
  return parts
    .filter((part) => part !== '')
    .map(onOneLine)
    .join(' ');
}

/** RFC 3339 where the time can be said so. */
export function isoOf(time: number): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? String(time) : date.toISOString();
}

function detailOf(event: CloudEvent): string {
  switch (event.type) {
    case 'reading': {
      const { measurement, fields, tags } = event.data;
      return [measurement, pairsOf(fields), pairsOf(tags)].filter((part) => part !== '').join(' ');
    }
    case 'alert': {
      const { rule, state, severity, summary } = event.data;
      return `${state} ${severity} ${rule}: ${summary}`;
    }
    case 'command':
      return `${event.data.name} ${event.data.payload}`;
    case 'undecodable': {
      const { topic, codec, reason } = event.data;
      return `${topic} is not ${codec}: ${reason}`;
    }
    case 'rejected': {
      const { sink, reason, attempt } = event.data;
      return `by ${sink} at attempt ${attempt}: ${reason}`;
    }
    case 'gap': {
      const { reader, from, to, reason } = event.data;
      return `${reader} lost ${from} to ${to}: ${reason}`;
    }
    case 'clock':
      return `${event.data.offsetMs} ms: ${event.data.reason}`;
    case 'heartbeat':
      return pairsOf(event.data.lag);
    case 'message': {
      const { payload, qos, retain, from } = event.data;
      const who = from === undefined ? 'itself' : from;
      return `${payload.length} bytes at QoS ${qos} from ${who}${retain ? ', retained' : ''}`;
    }
    case 'session':
      return `${event.data.kind} ${JSON.stringify(event.data.details)}`;
  }
}

function pairsOf(values: Readonly<Record<string, Value>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}=${typeof value === 'string' ? shown(value) : value}`)
    .join(' ');
}

function shown(text: string): string {
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}

/** What a device sent may not steer the terminal. */
export function onOneLine(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu,
    (character) => `\\u${character.codePointAt(0)!.toString(16).padStart(4, '0')}`,
  );
}
