import { DecodeError } from './codec.ts';
import type { Metric } from './sparkplug-payload.ts';

/** Edge nodes remembered; beyond it the one whose birth is oldest is forgotten. */
const nodesMax = 5_000;
/** Metrics, devices and nodes remembered together; beyond it the same. */
const weightMax = 200_000;
/** Characters in the name of a metric: as many as a field's may have. */
export const metricNameMax = 256;
/** A node is asked for its birth again after this, if it has not come. */
const askAgainMs = 10_000;
/** Births asked for in one second, of all nodes: each is a large message. */
const asksPerSecond = 20;

export interface KnownMetric {
  readonly name: string;
  readonly datatype: number;
}

/** What one birth has taught: of a node, or of a device. */
export class Births {
  readonly aliases = new Map<number | bigint, KnownMetric>();
  readonly names = new Map<string, KnownMetric>();

  get weight(): number {
    return 1 + Math.max(this.aliases.size, this.names.size);
  }

  /** Later births of one alias or name replace earlier ones. */
  learn(metrics: readonly Metric[]): void {
    for (const { name, alias, datatype } of metrics) {
      if (name === undefined || name.length > metricNameMax) continue;
      const known = { name, datatype };
      this.names.set(name, known);
      if (alias !== undefined) this.aliases.set(alias, known);
    }
  }
}

/** An edge node, from its birth to its death. */
export class EdgeNode {
  readonly key: string;
  /** Undefined until it was born before us. */
  births: Births | undefined = undefined;
  readonly devices = new Map<string, Births>();
  bdSeq: number | undefined = undefined;
  /** That of its last message. */
  seq: number | undefined = undefined;
  askedAt = Number.NEGATIVE_INFINITY;

  constructor(key: string) {
    this.key = key;
  }

  get weight(): number {
    let weight = this.births?.weight ?? 1;
    for (const births of this.devices.values()) weight += births.weight;
    return weight;
  }

  /** Whether the message is the next: numbers go from 0 to 255 and begin again (clause 6.4.6). */
  follows(seq: number | undefined): boolean {
    if (seq === undefined) return true;
    const isNext = this.seq === undefined || seq === ((this.seq + 1) & 0xff);
    this.seq = seq;
    return isNext;
  }

  die(): void {
    this.births = undefined;
    this.devices.clear();
    this.bdSeq = undefined;
    this.seq = undefined;
  }
}

/** The edge nodes of one source, and which of them have been asked for their birth. */
export class EdgeNodes {
  private readonly nodes = new Map<string, EdgeNode>();
  private weight = 0;
  private second = 0;
  private asked = 0;

  get(key: string): EdgeNode {
    return this.nodes.get(key) ?? this.add(key);
  }

  /** Changes what is known of a node. Throws `DecodeError` for one that is too large by itself. */
  change(node: EdgeNode, change: () => void): void {
    const before = node.weight;
    change();
    this.weight += node.weight - before;
    // The newest birth comes last, so that the oldest is the first to be forgotten.
    this.nodes.delete(node.key);
    this.nodes.set(node.key, node);
    this.makeRoom(node);
    if (this.weight <= weightMax) return;
    this.weight -= node.weight - 1;
    node.die();
    throw new DecodeError(
      `An edge node has more than ${weightMax} metrics; its births are forgotten.`,
    );
  }

  /** Whether the node may be asked for its birth now; it then counts as asked. */
  mayAsk(node: EdgeNode, now: number): boolean {
    const since = now - node.askedAt;
    // A clock that was set back must not silence us.
    if (since >= 0 && since < askAgainMs) return false;
    const second = Math.floor(now / 1_000);
    if (second !== this.second) this.asked = 0;
    this.second = second;
    if (this.asked >= asksPerSecond) return false;
    this.asked++;
    node.askedAt = now;
    return true;
  }

  private add(key: string): EdgeNode {
    const node = new EdgeNode(key);
    this.nodes.set(key, node);
    this.weight += 1;
    this.makeRoom(node);
    return node;
  }

  private makeRoom(besides: EdgeNode): void {
    for (const node of this.nodes.values()) {
      if (this.nodes.size <= nodesMax && this.weight <= weightMax) return;
      if (node === besides) continue;
      this.nodes.delete(node.key);
      this.weight -= node.weight;
    }
  }
}
