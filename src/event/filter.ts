import { type CloudEvent, type EventType, eventTypes } from './event.ts';
import { createGlob } from './glob.ts';

/**
 * Which events are wanted. Every criterion that is given must hold, so an event that lacks what a
 * criterion asks about (only readings have a `measurement`, only alerts a `severity`) is not
 * wanted. Each is a name, a pattern with `*` and `?`, or a list of them, any of which may match.
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
  const filters: ((event: CloudEvent) => boolean)[] = [];
  if (select.type !== undefined) filters.push(typeFilter(select.type));
  if (select.measurement !== undefined) filters.push(measurementFilter(select.measurement));
  if (select.severity !== undefined) filters.push(severityFilter(select.severity));
  if (select.device !== undefined) filters.push(deviceFilter(select.device));
  const [first, second] = filters;
  if (first === undefined) return () => true;
  if (second === undefined) return first;
  if (filters.length === 2) return (event) => first(event) && second(event);
  return (event) => filters.every((filter) => filter(event));
}

function typeFilter(patterns: Patterns): (event: CloudEvent) => boolean {
  const wanted = selectedTypes(patterns);
  if (wanted.length === eventTypes.length) return () => true;
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
  return eventTypes.filter((type) => glob(type) || glob(`io.tidegate.${type}.v1`));
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
