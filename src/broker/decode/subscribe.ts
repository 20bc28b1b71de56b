import type { FilterRequest, SubscribePacket, UnsubscribePacket } from '../packets.ts';
import { broken } from './clauses.ts';
import { carriers, PropertyView, propertyIds, readProperties } from './properties.ts';
import { Refusal } from './refusal.ts';
import { fieldEnd, textOf, uint16At } from './text.ts';
import { filterProblem, isShared } from './topic.ts';

const properties = new PropertyView();

/** The identifier, and where the filters begin. */
function readHead(
  bytes: Buffer,
  at: number,
  end: number,
  level: number,
  carrier: number,
): { readonly id: number; readonly filtersAt: number } | Refusal {
  if (at + 2 > end) return broken.tooShort;
  const id = uint16At(bytes, at);
  if (id === 0) return broken.packetId;
  properties.begin(bytes, at, at);
  if (level !== 5) return { id, filtersAt: at + 2 };
  const problem = readProperties(properties, bytes, at + 2, end, carrier);
  return problem ?? { id, filtersAt: properties.to };
}

/** Reads a whole SUBSCRIBE whose body begins at `at`. */
export function readSubscribe(
  bytes: Buffer,
  at: number,
  end: number,
  level: number,
): SubscribePacket | Refusal {
  const head = readHead(bytes, at, end, level, carriers.subscribe);
  if (head instanceof Refusal) return head;
  if (head.filtersAt === end) return broken.subscribeNothing;
  const requests: FilterRequest[] = [];
  for (let next = head.filtersAt; next < end; ) {
    const to = fieldEnd(bytes, next, end);
    if (to < 0 || to === end) return broken.tooShort;
    const problem =
      filterProblem(bytes, next + 2, to, level, broken.subscribeFilterUtf8) ??
      optionsProblem(bytes[to]!, level, isShared(bytes, next + 2, to));
    if (problem !== undefined) return problem;
    requests.push(requestOf(textOf(bytes, next + 2, to), bytes[to]!));
    next = to + 1;
  }
  const subscriptionId = properties.number(propertyIds.subscriptionId);
  const userProperties = properties.userProperties > 0 ? properties.pairs() : undefined;
  return {
    id: head.id,
    requests,
    ...(subscriptionId !== undefined && { subscriptionId }),
    ...(userProperties !== undefined && { userProperties }),
  };
}

function optionsProblem(options: number, level: number, shared: boolean): Refusal | undefined {
  if ((options & (level === 5 ? 0xc0 : 0xfc)) !== 0) return broken.subscribeReserved;
  if ((options & 3) === 3) return broken.subscribeQos;
  if ((options & 0x30) === 0x30) return broken.retainHandling;
  return shared && (options & 4) !== 0 ? broken.sharedNoLocal : undefined;
}

function requestOf(filter: string, options: number): FilterRequest {
  return {
    filter,
    qos: (options & 3) as 0 | 1 | 2,
    noLocal: (options & 4) !== 0,
    retainAsPublished: (options & 8) !== 0,
    retainHandling: ((options >> 4) & 3) as 0 | 1 | 2,
  };
}

/** Reads a whole UNSUBSCRIBE whose body begins at `at`. */
export function readUnsubscribe(
  bytes: Buffer,
  at: number,
  end: number,
  level: number,
): UnsubscribePacket | Refusal {
  const head = readHead(bytes, at, end, level, carriers.unsubscribe);
  if (head instanceof Refusal) return head;
  if (head.filtersAt === end) return broken.unsubscribeNothing;
  const filters: string[] = [];
  for (let next = head.filtersAt; next < end; ) {
    const to = fieldEnd(bytes, next, end);
    if (to < 0) return broken.tooShort;
    const problem = filterProblem(bytes, next + 2, to, level, broken.unsubscribeFilterUtf8);
    if (problem !== undefined) return problem;
    filters.push(textOf(bytes, next + 2, to));
    next = to;
  }
  return { id: head.id, filters };
}
