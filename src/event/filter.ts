import { type CloudEvent, type EventType, eventTypes, isInternal } from './event.ts';
import { createGlob } from './glob.ts';

/**
 * Which events are wanted. Every criterion that is given must hold, so an event that lacks what a
 * criterion asks about (only readings have a `measurement`, only alerts a `severity`) is not
 * wanted. Each is a name, a pattern with `*` and `?`, or a list of them, any of which may match.
 * Internal types of event are wanted only by their names.
 */
export interface Select {
  /** Short (`alert`) or in full (`io.tidegate.alert.v1`). */
  readonly type?: Patterns;
  readonly device?: Patterns;
  readonly measurement?: Patterns;
  readonly severity?: Patterns;
}
export type Patterns = string | readonly string[];

/** The question `select` asks, as a function. Asks nothing of an event that it need not. */
export function createFilter(select: Select): (event: CloudEvent) => boolean {
  const first = select.type === undefined ? isForAll : typeFilter(select.type);
  const filters = [first];
  if (select.measurement !== undefined) filters.push(measurementFilter(select.measurement));
  if (select.severity !== undefined) filters.push(severityFilter(select.severity));
  if (select.device !== undefined) filters.push(deviceFilter(select.device));
  const second = filters[1];
  if (second === undefined) return first;
  if (filters.length === 2) return (event) => first(event) && second(event);
  return (event) => filters.every((filter) => filter(event));
}

const isForAll = ({ type }: CloudEvent): boolean => !isInternal(type);
const forAllCount = eventTypes.filter((type) => !isInternal(type)).length;

function typeFilter(patterns: Patterns): (event: CloudEvent) => boolean {
  const wanted = selectedTypes(patterns);
  if (wanted.length === forAllCount && !wanted.some(isInternal)) return isForAll;
  if (wanted.length === 1) {
    const [only] = wanted;
    return (event) => event.type === only;
  }
  const types = new Set(wanted);
  return (event) => types.has(event.type);
}

/** The types of event that the patterns name, by their short or full names. */
export function selectedTypes(patterns: Patterns): readonly EventType[] {
  const glob = createGlob(patterns);
  const named = new Set(typeof patterns === 'string' ? [patterns] : patterns);
  return eventTypes.filter((type) => {
    const inFull = `io.tidegate.${type}.v1`;
    if (isInternal(type)) return named.has(type) || named.has(inFull);
    return glob(type) || glob(inFull);
  });
}

function measurementFilter(patterns: Patterns): (event: CloudEvent) => boolean {
  const glob = createGlob(patterns);
  return (event) => event.type === 'reading' && glob(event.data.measurement);
}

function severityFilter(patterns: Patterns): (event: CloudEvent) => boolean {
  const glob = createGlob(patterns);
  return (event) => event.type === 'alert' && glob(event.data.severity);
}

function deviceFilter(patterns: Patterns): (event: CloudEvent) => boolean {
  const glob = createGlob(patterns);
  return (event) => glob(event.subject);
}
