import type { Bounds } from './bounds.ts';
import { type Delivery, deliveryOf } from './delivery.ts';
import { encodeFiltersAnswer } from './encode-answers.ts';
import type { Intake } from './intake.ts';
import type { JournalRecord } from './journal.ts';
import type { Message } from './message.ts';
import type { FilterRequest, SubscribePacket, UnsubscribePacket } from './packets.ts';
import type { Peer } from './peer.ts';
import type { Retained } from './retained.ts';
import type { Router } from './router.ts';
import { isOwn, type Session, type Subscription, shareOf } from './session.ts';

export interface SubscribingParts {
  readonly bounds: Bounds;
  readonly intake: Intake;
  readonly router: Router;
  readonly retained: Retained;
  /** Undefined once the connection has lost its session to another. */
  sessionOf(guard: Peer): Session | undefined;
  /** Whether the session is not over. */
  isCurrent(session: Session): boolean;
  /** Whether a retained message of the connection is on its way. */
  isRetaining(guard: Peer): boolean;
  /** Resolves when the records are durable; undefined when nothing lasts. */
  append(records: readonly JournalRecord[]): Promise<unknown> | undefined;
  /** A client was told that it may not. */
  denied(): void;
  failed(error: unknown): void;
}

/** Reason codes of SUBACK and UNSUBACK (OASIS MQTT 5.0, clauses 3.9.3 and 3.11.3). */
const codes = {
  noSubscription: 0x11,
  failure: 0x80,
  notAuthorized: 0x87,
  filter: 0x8f,
  quota: 0x97,
};
const reasons: ReadonlyMap<number, string> = new Map([
  [codes.notAuthorized, 'not allowed to subscribe to that'],
  [codes.filter, 'the filter has too many levels'],
  [codes.quota, 'more subscriptions than the broker allows'],
]);
const mark = '$share/';

/** The filter behind `$share/<name>/`; undefined when the filter is no shared one. */
export function shareName(filter: string): string | undefined {
  if (!filter.startsWith(mark)) return undefined;
  const slash = filter.indexOf('/', mark.length);
  return slash < 0 ? '' : filter.slice(slash + 1);
}

/** Answers SUBSCRIBE and UNSUBSCRIBE, each in its turn among the messages of its client. */
export class Subscribing {
  readonly #parts: SubscribingParts;

  constructor(parts: SubscribingParts) {
    this.#parts = parts;
  }

  subscribe(guard: Peer, packet: SubscribePacket): void {
    const session = this.#parts.sessionOf(guard);
    if (session === undefined) return;
    const { client } = session;
    const { id, subscriptionId } = packet;
    const isBridge = guard.request?.bridge === true;
    const requests = packet.requests.map((request) =>
      // A bridge must not get back what it has brought.
      isBridge ? { ...request, noLocal: true, retainAsPublished: true } : request,
    );
    const answers = this.#answersTo(guard, session, requests);
    const granted = requests.filter((_, index) => answers[index]! < codes.failure);
    const record: JournalRecord = {
      kind: 'subscribed',
      ...{ client, requests: granted },
      ...(subscriptionId !== undefined && { subscriptionId }),
    };
    const pending = granted.filter(({ filter }) => !session.subscriptions.has(filter)).length;
    session.filtersPending += pending;
    const act = (): void => {
      session.filtersPending -= pending;
      if (!this.#parts.isCurrent(session)) return;
      const fresh = granted.filter(({ filter }) => !session.subscriptions.has(filter));
      this.#grant(session, granted, subscriptionId);
      this.#answer(guard, 0x90, id, answers);
      this.#sendRetained(guard, session, granted, fresh);
    };
    const refuse = (error: unknown): void => {
      session.filtersPending -= pending;
      if (!(error instanceof RangeError)) {
        this.#fail(guard, error);
        return;
      }
      this.#answer(
        guard,
        0x90,
        id,
        answers.map(() => this.#code(guard, codes.quota)),
      );
    };
    this.#inTurn(guard, session, granted.length > 0 ? [record] : [], act, refuse);
  }

  unsubscribe(guard: Peer, { id, filters }: UnsubscribePacket): void {
    const session = this.#parts.sessionOf(guard);
    if (session === undefined) return;
    const { client } = session;
    const act = (): void => {
      if (!this.#parts.isCurrent(session)) return;
      const answers = filters.map((filter) =>
        this.#parts.router.remove(session, filter) ? 0 : codes.noSubscription,
      );
      this.#answer(guard, 0xb0, id, answers);
    };
    const record = { kind: 'unsubscribed', client, filters } as const;
    this.#inTurn(guard, session, [record], act, (error) => this.#fail(guard, error));
  }

  /** Once what came before is settled, and the records are durable. */
  #inTurn(
    guard: Peer,
    session: Session,
    records: readonly JournalRecord[],
    act: () => void,
    failed: (error: unknown) => void,
  ): void {
    const { append, intake, isRetaining } = this.#parts;
    const lasts = session.isJournaled && records.length > 0;
    const durable = lasts ? append(records) : undefined;
    // Who waits for it hears of it.
    durable?.catch(() => {});
    const answer = (): void => session.answers.take(durable, act, failed);
    // Who retains a message and subscribes gets it as a retained one. Nobody else has to wait.
    if (isRetaining(guard)) intake.pass(answer);
    else answer();
  }

  #answersTo(guard: Peer, session: Session, requests: readonly FilterRequest[]): number[] {
    const { bounds, router, denied } = this.#parts;
    const fresh = new Set<string>();
    return requests.map(({ filter, qos }) => {
      const isNew = !session.subscriptions.has(filter);
      const room = Math.min(
        bounds.clientSubscriptions - session.subscriptions.size - session.filtersPending,
        bounds.totalSubscriptions - router.subscriptions,
      );
      const hasRoom = !isNew || fresh.has(filter) || fresh.size < room;
      const problem = this.#problemOf(guard, filter, hasRoom);
      if (problem === 0) {
        if (isNew) fresh.add(filter);
        return qos;
      }
      denied();
      return this.#code(guard, problem);
    });
  }

  #problemOf(guard: Peer, filter: string, hasRoom: boolean): number {
    const shared = shareName(filter);
    const isSound = shared === undefined || (shared !== '' && isShareName(filter));
    if (!isSound || filter.split('/').length > this.#parts.bounds.topicLevels) return codes.filter;
    if (!guard.rights.maySubscribe(shared ?? filter)) return codes.notAuthorized;
    return hasRoom ? 0 : codes.quota;
  }

  #code(guard: Peer, code: number): number {
    return guard.level === 5 ? code : codes.failure;
  }

  #grant(
    session: Session,
    requests: readonly FilterRequest[],
    subscriptionId: number | undefined,
  ): void {
    for (const request of requests) {
      const sharedFilter = shareName(request.filter);
      this.#parts.router.add({ session, request, subscriptionId, sharedFilter });
    }
  }

  #answer(guard: Peer, first: 0x90 | 0xb0, id: number, answers: readonly number[]): void {
    const version = guard.level as 3 | 4 | 5;
    const { connection } = guard;
    const encode = (text: string) => encodeFiltersAnswer(first, version, id, answers, text);
    const reason = reasons.get(Math.max(...answers)) ?? '';
    connection.answer(connection.fitting(encode, reason));
  }

  #sendRetained(
    guard: Peer,
    session: Session,
    granted: readonly FilterRequest[],
    fresh: readonly FilterRequest[],
  ): void {
    const { retained, router, sessionOf } = this.#parts;
    if (retained.count === 0 || sessionOf(guard) !== session) return;
    for (const request of granted) {
      const { filter, retainHandling } = request;
      const isDue = retainHandling === 0 || (retainHandling === 1 && fresh.includes(request));
      const subscription = session.subscriptions.get(filter);
      if (!isDue || subscription === undefined || subscription.sharedFilter !== undefined) continue;
      const messages = retained.matching(filter);
      session.outbox.pushRetained(deliveries(messages, subscription, router.sequence));
    }
  }

  #fail(guard: Peer, error: unknown): void {
    this.#parts.failed(error);
    guard.close();
  }
}

function* deliveries(
  messages: Iterable<Message>,
  subscription: Subscription,
  upTo: number,
): Generator<Delivery> {
  for (const message of messages) {
    // What is newer comes by itself.
    if (message.sequence > upTo || isOwn(subscription, message)) continue;
    yield deliveryOf(message, { ...shareOf(subscription, message), retain: true });
  }
}

/** Whether the name between `$share/` and the filter is one [MQTT-4.8.2-1]. */
function isShareName(filter: string): boolean {
  const name = filter.slice(mark.length, filter.indexOf('/', mark.length));
  return name !== '' && !/[+#]/.test(name);
}
