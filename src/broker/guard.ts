import type { Clock } from '../platform/clock.ts';
import type { Bounds } from './bounds.ts';
import type { Connection } from './connection.ts';
import {
  filterProblem,
  headerProblem,
  packetSizeAt,
  packetTypes,
  protocolLevelOf,
  publishProblem,
  type Refusal,
  refusals,
} from './framing.ts';
import type { Account, Gate } from './gate.ts';
import { UnfinishedPacket } from './unfinished-packet.ts';

/** Why a connection was closed, as it is counted. */
export type CloseReason = Refusal | 'slow' | 'unfinished';

export interface GuardParts {
  readonly bounds: Bounds;
  readonly packetBytes: number;
  readonly clock: Clock;
  readonly gate: Gate;
  /** Memory for packets that have begun and not ended, of all connections. */
  readonly unfinished: { bytes: number };
  /** Gets the first packet, a CONNECT; `ready` is called when aedes has answered it. */
  connect(guard: Guard, packet: Uint8Array): void;
  /** Gets whole packets, some in one piece, in order. */
  packets(guard: Guard, bytes: Uint8Array): void;
  refused(guard: Guard, reason: CloseReason): void;
}

const pingResponse = Uint8Array.of(0xd0, 0);
/** A CONNACK with return code 1 [MQTT-3.1.2-2]. */
const unacceptableLevel = Uint8Array.of(0x20, 2, 0, 1);

/**
 * Stands between a socket and aedes: every byte a client sends comes through here. Only whole
 * packets pass, none larger than allowed, CONNECT first and in time, and no more messages than the
 * gate admits. Pings are answered here, whatever else waits.
 */
export class Guard {
  readonly connection: Connection;
  readonly account: Account;
  /** The protocol level of the CONNECT; 5 is MQTT 5. */
  level = 0;
  /** 1.5 times what the client asked for; 0 is for ever. */
  keepAliveMs = 0;
  /** When the bytes at hand arrived; wall clock. */
  receivedAt = 0;
  #state: 'fresh' | 'connecting' | 'ready' | 'closed' = 'fresh';
  #stalled = false;
  /** Arrived, but may not pass yet. */
  #waiting: Buffer | undefined;
  readonly #unfinished: UnfinishedPacket;
  #unfinishedSince = 0;
  #packetAt: number;
  #unsentSince = 0;
  readonly #parts: GuardParts;

  constructor(connection: Connection, parts: GuardParts) {
    this.connection = connection;
    this.#parts = parts;
    this.#unfinished = new UnfinishedPacket(parts.unfinished);
    this.#packetAt = parts.clock.monotonic();
    this.account = parts.gate.open(() => this.#resume());
    connection.socket.on('data', (chunk: Buffer) => this.#arrived(chunk));
    connection.onDrain = () => {
      if (this.#unsentSince === 0) return;
      this.#unsentSince = 0;
      this.#resume();
    };
  }

  get isReady(): boolean {
    return this.#state === 'ready';
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  /** aedes has answered the CONNECT: what came behind it may pass. */
  ready(): void {
    if (this.#state !== 'connecting') return;
    this.#state = 'ready';
    this.#packetAt = this.#parts.clock.monotonic();
    this.#resume();
  }

  /** Closes the connection, saying why to those who understand it [MQTT5-4.13.1]. */
  refuse(reason: CloseReason): void {
    if (this.#state === 'closed') return;
    const code = reason in refusals ? refusals[reason as Refusal] : 0;
    if (this.level === 5 && this.#state === 'ready' && code > 0) {
      this.connection.write(Uint8Array.of(0xe0, 1, code));
    }
    this.close();
    this.#parts.refused(this, reason);
  }

  /** Nothing passes any more. */
  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#waiting = undefined;
    this.#unfinished.drop();
    this.#parts.gate.forget(this.account);
    this.connection.destroy();
  }

  /** Closes the connection if something has taken too long by `now`, on the monotonic clock. */
  checkTime(now: number): void {
    const { bounds } = this.#parts;
    if (this.#state === 'closed') {
      if (now - this.connection.destroyedAt > bounds.drainMaxMs) this.connection.socket.destroy();
    } else if (this.#state !== 'ready') {
      if (now - this.#packetAt > bounds.connectMaxMs) this.refuse('timeout');
    } else if (this.#unsentSince > 0 && now - this.#unsentSince > bounds.drainMaxMs) {
      this.refuse('slow');
    } else if (this.#stalled) {
      // Its packets are not being read: that it is silent says nothing.
      this.#packetAt = now;
      this.#unfinishedSince = now;
    } else if (this.#unfinished.have > 0 && now - this.#unfinishedSince > bounds.packetMaxMs) {
      this.refuse('timeout');
    } else if (this.keepAliveMs > 0 && now - this.#packetAt > this.keepAliveMs) {
      this.refuse('keep_alive');
    }
  }

  #arrived(chunk: Buffer): void {
    if (this.#state === 'closed') return;
    if (this.#stalled) {
      this.#waiting = this.#waiting === undefined ? chunk : Buffer.concat([this.#waiting, chunk]);
      return;
    }
    this.receivedAt = this.#parts.clock.now();
    this.#process(chunk);
  }

  #stall(waiting: Buffer | undefined): void {
    this.#stalled = true;
    this.#waiting = waiting;
    this.connection.socket.pause();
  }

  #resume(): void {
    if (this.#state !== 'ready' || !this.#stalled || this.#unsentSince > 0) return;
    this.#stalled = false;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting !== undefined) this.#process(waiting);
    if (!this.#stalled && !this.connection.destroyed) this.connection.socket.resume();
  }

  /** Lets pass what may pass of `chunk`; keeps the rest, and a packet whose end is missing. */
  #process(chunk: Buffer): void {
    const start = this.#unfinished.have === 0 ? 0 : this.#finish(chunk);
    if (start < 0) return;
    const { gate } = this.#parts;
    const end = chunk.length;
    let allowance = -1;
    let messages = 0;
    let passed = start;
    let at = start;
    while (at < end) {
      const size = this.#sizeAt(chunk, at, end);
      if (size < 0) return;
      if (size === 0 || at + size > end) break;
      const type = chunk[at]! >> 4;
      if (type === packetTypes.publish) {
        if (allowance < 0) allowance = gate.allowance(this.account);
        if (messages === allowance) break;
        messages += 1;
      }
      if (this.#state === 'fresh') {
        this.#connect(chunk, at, size);
        return;
      }
      if (type === packetTypes.pingreq) {
        this.#pass(chunk, passed, at);
        passed = at + size;
        this.connection.write(pingResponse);
      } else if (!this.#isSound(chunk, at, at + size, type)) return;
      at += size;
    }
    if (at > start) this.#packetAt = this.#parts.clock.monotonic();
    if (messages > 0) gate.spend(this.account, messages);
    this.#pass(chunk, passed, at);
    if (this.#state === 'closed') return;
    if (messages === allowance && at < end) {
      this.#stall(at === 0 ? chunk : chunk.subarray(at));
      gate.stall(this.account);
    } else {
      if (at < end) this.#begin(chunk, at);
      this.#checkUnsent();
    }
  }

  #pass(chunk: Buffer, from: number, to: number): void {
    if (from === to || this.#state === 'closed') return;
    const whole = from === 0 && to === chunk.length;
    this.#parts.packets(this, whole ? chunk : chunk.subarray(from, to));
  }

  /** As `packetSizeAt`, but -1 when the connection was closed for what the header says. */
  #sizeAt(chunk: Buffer, at: number, end: number): number {
    const { bounds, packetBytes } = this.#parts;
    const first = chunk[at]!;
    const fresh = this.#state === 'fresh';
    if (fresh && first !== 0x10) return this.#refused('not_mqtt');
    const problem = headerProblem(first);
    if (problem !== undefined) return this.#refused(problem);
    if (!fresh && first === 0x10) return this.#refused('protocol');
    const size = packetSizeAt(chunk, at, end);
    if (size < 0) return this.#refused('malformed');
    if (size > (fresh ? bounds.connectBytes : packetBytes)) return this.#refused('too_large');
    return size;
  }

  #refused(reason: Refusal): -1 {
    this.refuse(reason);
    return -1;
  }

  #isSound(chunk: Buffer, at: number, end: number, type: number): boolean {
    let problem: Refusal | undefined;
    if (type === packetTypes.publish) problem = publishProblem(chunk, at, end);
    else if (type === packetTypes.subscribe || type === packetTypes.unsubscribe) {
      problem = filterProblem(chunk, at, end, this.level);
    }
    if (problem !== undefined) this.refuse(problem);
    return problem === undefined;
  }

  #connect(chunk: Buffer, at: number, size: number): void {
    this.level = protocolLevelOf(chunk, at, at + size);
    if (this.level < 0) {
      this.refuse('not_mqtt');
      return;
    }
    if (this.level < 3 || this.level > 5) {
      this.connection.write(unacceptableLevel);
      this.refuse('protocol');
      return;
    }
    this.#state = 'connecting';
    this.#packetAt = this.#parts.clock.monotonic();
    // aedes keeps only a few packets that come before its CONNACK: they wait here.
    const rest = chunk.subarray(at + size);
    this.#stall(rest.length > 0 ? rest : undefined);
    this.#parts.connect(this, chunk.subarray(at, at + size));
  }

  #begin(chunk: Buffer, at: number): void {
    this.#unfinished.size = packetSizeAt(chunk, at, chunk.length);
    this.#unfinishedSince = this.#parts.clock.monotonic();
    this.#add(chunk, at, chunk.length);
  }

  /** Where `chunk` goes on behind the packet that had begun; -1 when there is no going on. */
  #finish(chunk: Buffer): number {
    const packet = this.#unfinished;
    let at = 0;
    while (packet.size === 0) {
      if (at === chunk.length) return -1;
      packet.add(chunk, at, at + 1);
      at += 1;
      const size = this.#sizeAt(packet.bytes, 0, packet.have);
      if (size < 0) return -1;
      packet.size = size;
    }
    const end = Math.min(at + packet.size - packet.have, chunk.length);
    if (!this.#add(chunk, at, end) || packet.have < packet.size) return -1;
    this.#process(packet.take());
    if (this.#state === 'closed') return -1;
    if (!this.#stalled) return end;
    const rest = chunk.subarray(end);
    this.#waiting = this.#waiting === undefined ? rest : Buffer.concat([this.#waiting, rest]);
    return -1;
  }

  #add(chunk: Buffer, from: number, to: number): boolean {
    this.#unfinished.add(chunk, from, to);
    const { unfinished, bounds } = this.#parts;
    if (unfinished.bytes <= bounds.unfinishedBytes) return true;
    this.refuse('unfinished');
    return false;
  }

  /** Who does not take what is written to it may not cause more to be written. */
  #checkUnsent(): void {
    if (this.connection.writableLength < this.#parts.bounds.unsentBytes) return;
    this.#unsentSince = this.#parts.clock.monotonic();
    if (!this.#stalled) this.#stall(undefined);
  }
}
