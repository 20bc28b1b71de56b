import type { Rights } from './access.ts';
import {
  type Delivery,
  type DropReason,
  deliveryOf,
  type Giver,
  giveBack,
  idOf,
  type Share,
} from './delivery.ts';
import { InFlight } from './in-flight.ts';
import type { Position } from './journal.ts';
import type { Link } from './link.ts';
import { Message } from './message.ts';
import type { Acknowledgement } from './packets.ts';
import { recalled } from './recalled.ts';
import type { OutboxParts, Recipient } from './recipient.ts';
import { RetainedFeed } from './retained-feed.ts';
import { Turns } from './turns.ts';
import { WaitingQueue } from './waiting.ts';

/** Messages that are read from the log at once. */
const loadMessages = 64;

/**
 * Everything on its way to one subscriber (OASIS MQTT 5.0, clauses 4.3, 4.4, 4.6 and 4.9): in
 * order, no more under way than the client takes, and what it has not acknowledged sent again when
 * it returns.
 */
export class Outbox {
  #link: Link | undefined;
  #rights: Rights | undefined;
  #flight: InFlight | undefined;
  #waiting: WaitingQueue | undefined;
  /** Goes before what waits. */
  #retained: RetainedFeed | undefined;
  #turns: Turns | undefined;
  #isLoading = false;
  #isPumping = false;
  readonly #recipient: Recipient;
  readonly #parts: OutboxParts;
  /** The highest positions that were ever sent, and ever meant for it. */
  sentUpTo: Position = 0;
  highest: Position = -1;

  constructor(recipient: Recipient, parts: OutboxParts) {
    this.#recipient = recipient;
    this.#parts = parts;
  }

  /** Sent, and not acknowledged. */
  get inFlight(): number {
    return this.#flight?.size ?? 0;
  }

  /** Waiting to be sent. */
  get queued(): number {
    return this.#waiting?.length ?? 0;
  }

  /** Whether a message would be sent at once. */
  get hasRoom(): boolean {
    const link = this.#link;
    return link !== undefined && this.#isClear && this.#hasPlace(link);
  }

  /** The lowest position that is not acknowledged; -1 when there is none. */
  get lowest(): Position {
    const sent = this.#flight?.lowest ?? -1;
    const waiting = this.#waiting?.lowest ?? -1;
    if (sent < 0 || waiting < 0) return Math.max(sent, waiting);
    return Math.min(sent, waiting);
  }

  /** The client is there: what it has not acknowledged is sent again, then what waits. */
  attach(link: Link): void {
    this.#link = link;
    this.#rights = link.rights;
    this.#flight?.begin(this.#placesOf(link));
    link.connection.onRoom = () => this.pump();
    this.pump();
  }

  /** The client is gone. What others can take is given back to them. */
  detach(): void {
    this.#link = undefined;
    const positions: Position[] = [...(this.#retained?.positions ?? [])];
    this.#retained = undefined;
    const back = new Map<Giver, Message[]>();
    for (const delivery of this.#flight?.values() ?? []) {
      const { giver, qos, message, isRecorded } = delivery;
      // A QoS 2 message that was begun with one is nobody else's [MQTT-4.8.2-4].
      const stays = giver === undefined ? !this.#isInLog(message) || isRecorded : qos === 2;
      if (stays) {
        message.own();
        continue;
      }
      this.#flight!.remove(delivery);
      if (giver === undefined) positions.push(message.position);
      else giveBack(back, giver, message);
    }
    this.#putAway(positions, back);
    for (const [giver, messages] of back) giver.takeBack(messages);
  }

  /** The session is over: nothing of it is left. Returns how many messages its client misses. */
  end(): number {
    this.detach();
    const missed = this.queued + this.inFlight;
    this.#waiting?.takeAll();
    this.#waiting = undefined;
    this.#flight = undefined;
    return missed;
  }

  /** Takes up what the log says of it. */
  restore(waiting: readonly Position[], recorded: readonly Position[], sentUpTo: Position): void {
    const known = new Set(recorded);
    this.#waiting = new WaitingQueue(this.#parts.held);
    for (const position of waiting) if (!known.has(position)) this.#waiting.push(position);
    this.sentUpTo = sentUpTo;
    this.highest = waiting.at(-1) ?? -1;
    for (const position of recorded) {
      const message = new Message(nothing, 0, position);
      const delivery = deliveryOf(message, { qos: 2, retain: false, subscriptionIds: [] });
      Object.assign(delivery, { id: idOf(position), isSent: true, isRecorded: true });
      this.#flight ??= new InFlight();
      this.#flight.restore(delivery);
    }
  }

  /** A message for the subscriber. */
  push(message: Message, share: Share, giver?: Giver): void {
    const isInLog = giver === undefined && share.qos > 0 && this.#isInLog(message);
    if (isInLog) this.highest = Math.max(this.highest, message.position);
    const rights = this.#rights;
    if (rights !== undefined && !rights.readsAll && !rights.mayRead(message.topic)) {
      if (isInLog) this.#recipient.acknowledged(message, undefined);
      return;
    }
    const link = this.#link;
    if (link === undefined) {
      if (share.qos > 0) this.#wait(message, share, giver);
    } else if (share.qos === 0) {
      if (this.#retained !== undefined) this.#wait(message, share, giver);
      else if (link.isSlow) this.#drop('slow');
      else this.#write(link, deliveryOf(message, share));
    } else if (!this.#isClear || !this.#hasPlace(link)) {
      this.#wait(message, share, giver);
    } else if (!this.#send(link, deliveryOf(message, share, giver))) {
      this.#wait(message, share, giver);
    }
  }

  /** Retained messages for a new subscription. */
  pushRetained(messages: Iterator<Delivery>): void {
    this.#retained ??= new RetainedFeed();
    if (this.#retained.length < this.#parts.bounds.clientSubscriptions)
      this.#retained.add(messages);
    else this.#drop('queue_full');
    this.pump();
  }

  /** False when the acknowledgement is of another kind than its message calls for. */
  acknowledge({ type, id, reason }: Acknowledgement): boolean {
    const delivery = this.#flight?.get(id);
    if (delivery === undefined) {
      // [MQTT5-3.6.2.1] says that the identifier is not known; of the others nothing is expected.
      if (type === 'pubrec') this.#link?.release(id, identifierNotFound);
      return true;
    }
    if ((type === 'puback') !== (delivery.qos === 1)) return false;
    if (type === 'pubrec' && reason < 0x80) {
      this.#record(delivery);
      return true;
    }
    if (type === 'pubcomp' && !delivery.isRecorded) return false;
    this.#flight!.remove(delivery);
    this.#finish(delivery);
    this.pump();
    return true;
  }

  /** Sends what can be sent. */
  pump(): void {
    const link = this.#link;
    if (link === undefined || this.#isPumping) return;
    this.#isPumping = true;
    let goesOn = this.#sendAgain(link);
    goesOn = goesOn && this.#sendRetained(link);
    while (goesOn && this.queued > 0) goesOn = this.#sendWaiting(link);
    this.#isPumping = false;
    if (this.hasRoom) this.#recipient.hasRoom();
  }

  /** Nothing is before a message that comes now. */
  get #isClear(): boolean {
    return this.queued === 0 && this.#retained === undefined && this.#flight?.again === undefined;
  }

  #placesOf(link: Link): number {
    return Math.min(link.receiveMaximum, this.#parts.bounds.inflightMessages);
  }

  #hasPlace(link: Link): boolean {
    if (link.isSlow) return false;
    const flight = this.#flight;
    const { queuedBytes } = this.#parts.bounds;
    return flight === undefined || (flight.places > 0 && flight.bytes <= queuedBytes);
  }

  #isInLog(message: Message): boolean {
    return message.position >= 0 && this.#recipient.isJournaled;
  }

  #sendAgain(link: Link): boolean {
    for (;;) {
      const delivery = this.#flight?.again;
      if (delivery === undefined) return true;
      if (delivery.isRecorded) {
        link.release(delivery.id);
      } else if (!this.#hasPlace(link)) {
        return false;
      }
      this.#flight!.wasSentAgain(delivery);
      if (!delivery.isRecorded && !this.#write(link, delivery)) this.#flight!.remove(delivery);
    }
  }

  #sendRetained(link: Link): boolean {
    for (;;) {
      const delivery = this.#retained?.head;
      if (delivery === undefined) break;
      if (link.isSlow) return false;
      if (!this.#mayRead(link, delivery.message)) {
        // It never was there for this client.
        if (this.#retained!.isSafe) this.#finish(delivery);
      } else if (delivery.qos === 0) this.#write(link, delivery);
      else if (!this.#hasPlace(link)) return false;
      else if (this.#recipient.isJournaled && !this.#retained!.isSafe) {
        void this.#keepRetained(this.#retained!);
        return false;
      } else if (!this.#send(link, delivery)) return false;
      this.#retained!.shift();
    }
    this.#retained = undefined;
    return true;
  }

  /** Retained messages are owed like others from the moment on in which the journal has them. */
  async #keepRetained(feed: RetainedFeed): Promise<void> {
    const highest = await feed.keep(this.#recipient.client, this.#parts);
    this.highest = Math.max(this.highest, highest);
    // The client may be gone: what the journal has for it waits until it is back.
    if (this.#retained !== feed && this.#recipient.isJournaled) {
      this.#putAway(feed.positions, new Map());
    }
    this.pump();
  }

  /** False when nothing more can be sent now. */
  #sendWaiting(link: Link): boolean {
    const waiting = this.#waiting!;
    const head = waiting.head!;
    if (typeof head === 'number') {
      if (!this.#isLoading && this.#hasPlace(link)) void this.#load();
      return false;
    }
    const mayRead = this.#mayRead(link, head.message);
    if (mayRead && head.qos > 0 && !(this.#hasPlace(link) && this.#send(link, head))) return false;
    waiting.shift();
    if (mayRead && head.qos === 0) this.#write(link, head);
    if (!mayRead || head.qos === 0) this.#finish(head);
    return true;
  }

  #mayRead(link: Link, { topic }: Message): boolean {
    return link.rights.readsAll || link.rights.mayRead(topic);
  }

  /** A QoS 1 or 2 message for the first time; false while its packet identifier is taken. */
  #send(link: Link, delivery: Delivery): boolean {
    if (this.#flight === undefined) {
      this.#flight = new InFlight();
      this.#flight.begin(this.#placesOf(link));
    }
    const { message, giver } = delivery;
    const isInLog = giver === undefined && this.#isInLog(message);
    const id = this.#flight.idFor(isInLog ? message.position : -1);
    if (id === 0) return false;
    delivery.id = id;
    if (!this.#write(link, delivery)) return true;
    this.#flight.add(delivery);
    if (isInLog && message.position > this.sentUpTo) this.sentUpTo = message.position;
    return true;
  }

  /** False when it cannot be sent, ever. */
  #write(link: Link, delivery: Delivery): boolean {
    const problem = link.publish(delivery, this.#parts.now());
    if (problem !== undefined) {
      this.#drop(problem);
      this.#finish(delivery);
      return false;
    }
    delivery.isSent = true;
    return true;
  }

  #record(delivery: Delivery): void {
    const { id, message } = delivery;
    // One member's share is its own from now on.
    const isInLog = this.#isInLog(message) && !delivery.isRecorded;
    const { client } = this.#recipient;
    const record = { kind: 'recorded', client, position: message.position } as const;
    const link = this.#link;
    this.#turns ??= new Turns();
    this.#turns.take(
      isInLog ? this.#parts.journal()?.append([record]) : undefined,
      () => {
        delivery.isRecorded = true;
        if (this.#link === link) link?.release(id);
      },
      this.#parts.failed,
    );
  }

  #finish({ message, giver }: Delivery): void {
    if (message.position >= 0) this.#recipient.acknowledged(message, giver);
  }

  #wait(message: Message, share: Share, giver: Giver | undefined): void {
    this.#waiting ??= new WaitingQueue(this.#parts.held);
    const waiting = this.#waiting;
    const isInLog = giver === undefined && share.qos > 0 && this.#isInLog(message);
    if (isInLog) {
      waiting.push(message.position);
    } else {
      const { bounds, held } = this.#parts;
      waiting.push(deliveryOf(message.own(), share, giver));
      const isTooMuch = () =>
        waiting.bytes > bounds.queuedBytes || held.bytes > bounds.queuedBytesTotal;
      while (waiting.bytes > 0 && isTooMuch()) this.#dropOldest();
    }
    while (this.queued > this.#parts.queuedMessages) this.#dropOldest();
  }

  #dropOldest(): void {
    const oldest = this.#waiting!.shift();
    if (oldest === undefined) return;
    this.#drop('queue_full');
    if (typeof oldest !== 'number') this.#finish(oldest);
  }

  #drop(reason: DropReason): void {
    if (this.#link !== undefined) this.#link.connection.traffic.dropped += 1;
    this.#parts.dropped(reason, 1);
  }

  /** Of what waits only what lasts is kept: of what is in the log, its position. */
  #putAway(positions: readonly Position[], back: Map<Giver, Message[]>): void {
    if (this.#waiting === undefined && positions.length === 0) return;
    const items = this.#waiting?.takeAll() ?? [];
    this.#waiting ??= new WaitingQueue(this.#parts.held);
    for (const position of positions) this.#waiting.push(position);
    for (const item of items) {
      if (typeof item === 'number') this.#waiting.push(item);
      else if (item.giver !== undefined) giveBack(back, item.giver, item.message);
      else if (item.qos > 0) {
        const { message } = item;
        this.#waiting.push(this.#isInLog(message) ? message.position : item);
      }
    }
    while (this.queued > this.#parts.queuedMessages) this.#dropOldest();
  }

  /** Reads the messages whose turn it is from the log. */
  async #load(): Promise<void> {
    const link = this.#link;
    this.#isLoading = true;
    try {
      const positions = this.#waiting!.positions(loadMessages);
      const found = await recalled(positions, this.#recipient, this.#parts, this.sentUpTo);
      // When the one is gone it was read for, it is read again for the next.
      if (this.#link === link) this.#waiting?.recall(found);
    } catch (error) {
      this.#parts.failed(error);
      return;
    } finally {
      this.#isLoading = false;
    }
    this.pump();
  }
}
const nothing = { topic: '', payload: new Uint8Array(0), qos: 2, retain: false } as const;
const identifierNotFound = 0x92;
