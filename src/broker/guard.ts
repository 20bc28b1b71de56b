import type { Rights } from './access.ts';
import type { Connection } from './connection.ts';
import { broken } from './decode/clauses.ts';
import { packetSizeAt, packetTypes, sizeWithin } from './decode/header.ts';
import { Refusal } from './decode/refusal.ts';
import { encodeDisconnect, encodeRefusal } from './encode-answers.ts';
import type { Account } from './gate.ts';
import type { GuardParts } from './guard-parts.ts';
import { actsAtOnce, inspect } from './inspection.ts';
import { openingOf } from './opening.ts';
import type { ConnectRequest } from './packets.ts';
import type { Peer } from './peer.ts';
import { Publisher } from './publisher.ts';
import { UnfinishedPacket } from './unfinished-packet.ts';

/**
 * Stands between a socket and aedes: every byte a client sends comes through here. Only whole
 * packets pass that are as the specification wants them, none larger than allowed, CONNECT first and
 * in time, and no more messages than the gate admits.
 */
export class Guard implements Peer {
  readonly connection: Connection;
  readonly account: Account;
  level = 0;
  request: ConnectRequest | undefined;
  client = '';
  readonly publisher: Publisher;
  keepAliveMs = 0;
  receivedAt = 0;
  #state: 'fresh' | 'connecting' | 'ready' | 'leaving' | 'closed' = 'fresh';
  #stalled = false;
  /** Arrived, but may not pass yet. */
  #waiting: Buffer | undefined;
  readonly #unfinished: UnfinishedPacket;
  #packetAt: number;
  #unsentSince = 0;
  readonly #parts: GuardParts;

  constructor(connection: Connection, parts: GuardParts) {
    this.connection = connection;
    this.#parts = parts;
    this.publisher = new Publisher(connection);
    this.#unfinished = new UnfinishedPacket(parts.unfinished);
    this.#packetAt = parts.clock.monotonic();
    this.account = parts.gate.open(this, () => this.#resume());
    connection.socket.on('data', (chunk: Buffer) => this.#arrived(chunk));
    connection.onTooLarge = () => this.refuse(broken.answerTooLarge);
    connection.onDrain = () => {
      if (this.#unsentSince === 0) return;
      this.#unsentSince = 0;
      this.#resume();
    };
  }

  get rights(): Rights {
    return this.connection.rights;
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

  refuse(refusal: Refusal): void {
    if (this.#state === 'closed') return;
    const { code } = refusal;
    if (this.level === 5 && code > 0) {
      const encode = this.#state === 'ready' ? encodeDisconnect : encodeRefusal;
      this.connection.explain((text) => encode(code, text), refusal.text);
    }
    this.close();
    this.#parts.refused(this, refusal);
  }

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
    } else if (this.#state === 'leaving') {
      if (now - this.#packetAt > bounds.drainMaxMs) this.close();
    } else if (this.#state !== 'ready') {
      if (now - this.#packetAt > bounds.connectMaxMs) this.refuse(broken.timeout);
    } else if (this.#unsentSince > 0 && now - this.#unsentSince > bounds.drainMaxMs) {
      this.refuse(broken.slow);
    } else if (this.#stalled) {
      // Its packets are not being read: that it is silent says nothing.
      this.#packetAt = now;
      this.#unfinished.since = now;
    } else if (this.#unfinished.have > 0 && now - this.#unfinished.since > bounds.packetMaxMs) {
      this.refuse(broken.timeout);
    } else if (this.keepAliveMs > 0 && now - this.#packetAt > this.keepAliveMs) {
      this.refuse(broken.keepAlive);
    }
  }

  #arrived(chunk: Buffer): void {
    if (this.#state === 'closed' || this.#state === 'leaving') return;
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
      if (this.#state === 'fresh') {
        this.#connect(chunk, at, size);
        return;
      }
      const first = chunk[at]!;
      if (first >> 4 === packetTypes.publish) {
        if (this.level === 5 && this.publisher.exceeds(first, this.#parts.bounds.receiveMaximum)) {
          this.refuse(broken.receiveMaximum);
          return;
        }
        if (allowance < 0) allowance = gate.allowance(this.account);
        if (messages === allowance) break;
        messages += 1;
      }
      this.connection.traffic.packetsIn += 1;
      passed = this.#admit(chunk, first, passed, at, at + size);
      if (passed < 0) return;
      at += size;
    }
    if (at > start && this.#state === 'ready') this.#packetAt = this.#parts.clock.monotonic();
    if (messages > 0) gate.spend(this.account, messages);
    this.#pass(chunk, passed, at);
    if (this.#state === 'closed') return;
    if (messages === allowance && at < end) {
      this.#stall(at === 0 ? chunk : chunk.subarray(at));
      gate.stall(this.account);
    } else {
      if (at < end) {
        this.#unfinished.begin(packetSizeAt(chunk, at, end), this.#parts.clock.monotonic());
        this.#gather(chunk, at, end);
      }
      this.#checkUnsent();
    }
  }

  /**
   * Checks the packet from `at` to `end`, and sees to what becomes of it. Returns from where on
   * packets are still to pass; -1 when nothing is to follow.
   */
  #admit(chunk: Buffer, first: number, passed: number, at: number, end: number): number {
    let from = passed;
    if (actsAtOnce(first)) {
      this.#pass(chunk, from, at);
      from = at;
      if (this.isClosed) return -1;
    }
    const verdict = inspect(this, this.#parts, chunk, at, end);
    if (verdict === 'taken') return this.isClosed ? -1 : end;
    if (verdict === 'pass') return from;
    if (verdict === 'last') {
      // What comes behind it counts for nothing [MQTT-3.14.4-1].
      this.#pass(chunk, from, end);
      if (!this.isClosed) this.#state = 'leaving';
      this.#packetAt = this.#parts.clock.monotonic();
      return -1;
    }
    if (verdict instanceof Refusal) {
      this.refuse(verdict);
      return -1;
    }
    this.#pass(chunk, from, at);
    if (!this.isClosed) this.#parts.packets(this, verdict);
    return this.isClosed ? -1 : end;
  }

  #pass(chunk: Buffer, from: number, to: number): void {
    if (from === to || this.#state === 'closed') return;
    this.#parts.packets(this, chunk.subarray(from, to));
  }

  /** As `packetSizeAt`, but -1 when the connection was closed for what the header says. */
  #sizeAt(chunk: Buffer, at: number, end: number): number {
    const { bounds, packetBytes } = this.#parts;
    const most = this.isReady ? packetBytes : bounds.connectBytes;
    const size = sizeWithin(chunk, at, end, this.#state === 'fresh' ? 0 : this.level, most);
    if (typeof size === 'number') return size;
    this.refuse(size);
    return -1;
  }

  #connect(chunk: Buffer, at: number, size: number): void {
    const { level, refusal, answer, request } = openingOf(chunk, at, at + size);
    this.level = level;
    if (answer !== undefined) this.connection.write(answer);
    if (request !== undefined && level === 5) {
      this.connection.maximumPacketSize = request.maximumPacketSize;
      this.connection.wantsReasons = request.requestProblemInformation;
    }
    const unable = request?.authenticationMethod !== undefined && !this.#parts.authenticate;
    if (request === undefined || unable) {
      this.refuse(refusal ?? broken.authenticationMethod);
      return;
    }
    const { authenticationMethod } = request;
    this.request = request;
    this.client = request.clientId;
    this.#state = 'connecting';
    this.#packetAt = this.#parts.clock.monotonic();
    this.connection.traffic.packetsIn += 1;
    const rest = chunk.subarray(at + size);
    // aedes keeps only a few packets that come before its CONNACK: they wait here. But
    // authentication may take more of them.
    if (authenticationMethod === undefined) this.#stall(rest.length > 0 ? rest : undefined);
    this.#parts.connect(this, chunk.subarray(at, at + size));
    if (authenticationMethod !== undefined && rest.length > 0) this.#arrived(rest);
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
    this.#gather(chunk, at, end);
    if (this.isClosed || packet.have < packet.size) return -1;
    this.#process(packet.take());
    if (this.isClosed || this.#state === 'leaving') return -1;
    if (!this.#stalled) return end;
    const rest = chunk.subarray(end);
    this.#waiting = this.#waiting === undefined ? rest : Buffer.concat([this.#waiting, rest]);
    return -1;
  }

  #gather(chunk: Buffer, from: number, to: number): void {
    const { unfinished, bounds } = this.#parts;
    this.#unfinished.add(chunk, from, to);
    if (unfinished.bytes > bounds.unfinishedBytes) this.refuse(broken.unfinished);
  }

  /** Who does not take what is written to it may not cause more to be written. */
  #checkUnsent(): void {
    if (this.connection.writableLength < this.#parts.bounds.unsentBytes) return;
    this.#unsentSince = this.#parts.clock.monotonic();
    if (!this.#stalled) this.#stall(undefined);
  }
}
