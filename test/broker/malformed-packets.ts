import type { Random } from '../../src/platform/random.ts';
import { bytesOf, connectBytes, field, packet, properties, varint } from './packet-bytes.ts';

/** One in so many of the first packets of a connection may be wrong. */
const carelessness = 20;
const rightTexts = ['a', 'a/b', 'gh/temperatur', 'größe/温度'];
const wrongTexts = ['', '\0', 'a/+', '#'];
const rightTopics = ['load/a', 'load/b/c', 'größe', 'a', '__proto__', 'constructor/x'];
const wrongTopics = ['$SYS/x', 'tidegate/x', 'a/+', '', '#'];
const rightFilters = ['load/#', '+/b', 'größe/+', '$share/g/load/+', 'x', 'constructor'];
const wrongFilters = ['$share//a', 'a#', 'a/+b', '', '__proto__'];

/**
 * Packets as a hostile client would make them: by the grammar of MQTT, with a part that is wrong now
 * and then, and then with bytes changed, cut out, doubled. Everything comes from `random`.
 */
export class Malice {
  readonly #random: Random;
  /** The packet at hand is to be right. */
  #careful = false;

  constructor(random: Random) {
    this.#random = random;
  }

  below(limit: number): number {
    return Math.floor(this.#random.next() * limit);
  }

  /** A CONNECT that is mostly right. */
  opening(level: 3 | 4 | 5, id: string): Buffer {
    return this.#oneIn(8) ? this.#damaged(this.#connect(level, id)) : connectBytes({ level, id });
  }

  /**
   * So many packets in one piece: the first are mostly right, since one that is wrong ends the
   * connection; the last is as wrong as can be.
   */
  packets(level: 3 | 4 | 5, count: number): Buffer {
    const parts: Buffer[] = [];
    for (let index = 0; index < count; index++) {
      this.#careful = index < count - 1 && !this.#oneIn(carelessness);
      parts.push(this.#packet(level));
    }
    const last = parts.length - 1;
    parts[last] = this.#damaged(parts[last]!);
    return Buffer.concat(parts);
  }

  #oneIn(times: number): boolean {
    return this.below(times) === 0;
  }

  /** Whether to do something that is wrong, or may be. */
  #odd(times: number): boolean {
    return this.below(times) === 0 && !this.#careful;
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  #packet(level: number): Buffer {
    switch (this.below(this.#careful ? 9 : 12)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return this.#publish(level);
      case 4:
        return packet(0x82, this.#id(), this.#list(level), ...this.#filters(true));
      case 5:
        return packet(0xa2, this.#id(), this.#list(level), ...this.#filters(false));
      case 6:
      case 7:
        return packet(this.#pick([0x40, 0x50, 0x62, 0x70]), this.#id(), this.#reason(level));
      case 8:
        return packet(0xc0);
      case 9:
        return packet(this.#pick([0xe0, 0xf0]), this.#reason(level));
      case 10:
        return this.#connect(this.#pick([3, 4, 5]), 'again');
      default:
        return packet(this.below(256), this.#noise(this.below(40)));
    }
  }

  #publish(level: number): Buffer {
    const qos = this.below(this.#odd(20) ? 4 : 3);
    const flags =
      (qos << 1) | (this.#oneIn(4) ? 1 : 0) | (qos > 0 || this.#odd(8) ? this.below(2) << 3 : 0);
    const id = qos === 0 ? [] : [this.#id()];
    return packet(
      0x30 | flags,
      this.#topic(),
      ...id,
      this.#list(level),
      this.#noise(this.below(64)),
    );
  }

  #connect(level: 3 | 4 | 5, id: string): Buffer {
    const flags = this.#oneIn(3) ? this.below(256) : this.#pick([0, 2, 6, 0x0e, 0x36, 0xc2]);
    const fields = Array.from({ length: this.below(5) }, () => field(this.#text()));
    const own = level === 5 ? { properties: this.#list(5) } : {};
    return connectBytes({ level, flags, id: this.#oneIn(8) ? '' : id, rest: fields, ...own });
  }

  #id(): Buffer {
    const low = this.below(this.#odd(4) ? 2 : 256);
    return Buffer.of(this.#careful ? 1 : this.below(2) * this.below(256), low);
  }

  #text(): Buffer {
    if (this.#odd(10)) return this.#noise(this.below(20));
    return Buffer.from(this.#pick(this.#odd(2) ? wrongTexts : rightTexts));
  }

  #topic(): Buffer {
    const topics = this.#odd(4) ? wrongTopics : rightTopics;
    return field(this.#odd(10) ? this.#text() : Buffer.from(this.#pick(topics)));
  }

  #filters(withOptions: boolean): Buffer[] {
    const filters = this.#odd(3) ? wrongFilters : rightFilters;
    return Array.from({ length: this.#careful ? 1 : this.below(4) }, () => {
      const filter = field(Buffer.from(this.#odd(8) ? this.#text() : this.#pick(filters)));
      return withOptions ? bytesOf(filter, this.below(this.#odd(3) ? 256 : 3)) : filter;
    });
  }

  #reason(level: number): Buffer {
    if (level < 5 || this.#oneIn(3)) return this.#noise(this.#odd(10) ? this.below(3) : 0);
    if (this.#careful) return Buffer.of(0, 0);
    const reason = this.#pick([0, 0, 0x10, 0x18, 0x80, 0x92, 0x97, this.below(256)]);
    return this.#oneIn(2) ? Buffer.of(reason) : bytesOf(reason, this.#list(level));
  }

  /** Properties with their length in front; nothing before MQTT 5. */
  #list(level: number): Buffer {
    if (level < 5) return Buffer.alloc(0);
    if (this.#careful || this.#oneIn(2)) return properties();
    return properties(...Array.from({ length: this.below(4) }, () => this.#property()));
  }

  #property(): Buffer {
    const id = this.#oneIn(12)
      ? this.below(256)
      : this.#pick([
          1, 2, 3, 8, 9, 0x0b, 0x11, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1f, 0x21, 0x22, 0x23, 0x26,
          0x27,
        ]);
    if ([1, 0x17, 0x19].includes(id)) return Buffer.of(id, this.below(3));
    if ([0x21, 0x22, 0x23].includes(id)) return Buffer.of(id, 0, this.below(20));
    if ([2, 0x11, 0x18, 0x27].includes(id))
      return Buffer.of(id, 0, 0, this.below(4), this.below(256));
    if (id === 0x0b) return Buffer.of(id, ...varint(this.below(300)));
    const value = field(this.#text());
    return bytesOf(id, value, ...(id === 0x26 ? [field(this.#text())] : []));
  }

  #noise(size: number): Buffer {
    const bytes = Buffer.allocUnsafe(size);
    for (let index = 0; index < size; index++) bytes[index] = this.below(256);
    return bytes;
  }

  /** With bytes changed, cut out, put in or doubled, or another length; one in eight as it is. */
  #damaged(bytes: Buffer): Buffer {
    let damaged = Buffer.from(bytes);
    for (let times = this.below(4); times > 0 && damaged.length > 0; times--) {
      const at = this.below(damaged.length);
      const rest = damaged.subarray(at);
      switch (this.below(6)) {
        case 0:
          damaged[at] = this.below(256);
          break;
        case 1:
          damaged[at]! ^= 1 << this.below(8);
          break;
        case 2:
          damaged = Buffer.concat([damaged.subarray(0, at), rest.subarray(1 + this.below(4))]);
          break;
        case 3:
          damaged = Buffer.concat([damaged.subarray(0, at), this.#noise(this.below(6)), rest]);
          break;
        case 4:
          damaged = Buffer.concat([damaged, rest]);
          break;
        default:
          if (damaged.length > 1) damaged[1] = this.below(256);
      }
    }
    return damaged;
  }
}
