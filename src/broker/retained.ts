import type { Bounds } from './bounds.ts';
import type { Position } from './journal.ts';
import type { Message } from './message.ts';

interface Node {
  readonly level: string;
  readonly parent: Node | undefined;
  children: Map<string, Node> | undefined;
  message: Message | undefined;
}

/** Nodes to look at, and which level of the filter they stand at. */
interface Way {
  readonly nodes: Iterator<Node>;
  readonly depth: number;
  readonly skipsDollar: boolean;
}

/** About what a level of a topic takes in memory. */
const levelBytes = 128;
const sweepMs = 1000;
/** Behind `#`. */
const below = -1;
const dollar = 0x24;

/**
 * The last retained message of every topic (OASIS MQTT 5.0, clause 3.3.1.3), found by topic filter
 * without looking at those that do not match.
 */
export class Retained {
  readonly #root: Node = createNode('', undefined);
  readonly #bounds: Bounds;
  readonly #now: () => number;
  readonly #dropped: () => void;
  #count = 0;
  #bytes = 0;
  /** Told of every message that is kept from now on. */
  onStored: (message: Message) => void = () => {};
  #sweptAt = Number.NEGATIVE_INFINITY;

  /** `now` is of the monotonic clock. */
  constructor(bounds: Bounds, now: () => number, dropped: () => void) {
    this.#bounds = bounds;
    this.#now = now;
    this.#dropped = dropped;
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** An empty payload removes what is kept [MQTT-3.3.1-6]. Beyond the limits nothing new is kept. */
  store(message: Message): void {
    const levels = message.topic.split('/');
    if (message.isEmpty) {
      const node = levels.length > this.#bounds.topicLevels ? undefined : this.#find(levels);
      if (node !== undefined) this.#remove(node);
      return;
    }
    if (levels.length > this.#bounds.topicLevels) {
      this.#dropped();
      return;
    }
    if (!this.#hasRoom(message, levels)) this.#removeExpired();
    if (!this.#hasRoom(message, levels)) {
      this.#dropped();
      return;
    }
    const node = this.#create(levels);
    if (node.message === undefined) this.#count += 1;
    this.#bytes += message.heldBytes - (node.message?.heldBytes ?? 0);
    message.keep();
    node.message = message;
    this.onStored(message);
  }

  /** The message that is kept under a topic, if that is the one at this place in the log. */
  at(topic: string, position: Position): Message | undefined {
    const message = this.#find(topic.split('/'))?.message;
    return message?.position === position ? message : undefined;
  }

  /** What a new subscription gets; what changes meanwhile may be there or not. */
  *matching(filter: string): Generator<Message> {
    const levels = filter.split('/');
    const now = this.#now();
    const ways: Way[] = [{ nodes: [this.#root].values(), depth: 0, skipsDollar: false }];
    for (let way = ways.at(-1); way !== undefined; way = ways.at(-1)) {
      const next = way.nodes.next();
      if (next.done) {
        ways.pop();
        continue;
      }
      const node = next.value;
      if (way.skipsDollar && node.level.charCodeAt(0) === dollar) continue;
      const { depth } = way;
      const level = depth === below ? '#' : levels[depth];
      // `a/#` matches `a` as well.
      if ((level === undefined || level === '#') && node.message !== undefined) {
        if (node.message.isExpired(now)) this.#remove(node);
        else yield node.message;
      }
      if (level === undefined || node.children === undefined) continue;
      // No wildcard in the first place matches topics that begin with `$` [MQTT-4.7.2-1].
      const skipsDollar = depth === 0;
      if (level === '#') ways.push({ nodes: node.children.values(), depth: below, skipsDollar });
      else if (level === '+') {
        ways.push({ nodes: node.children.values(), depth: depth + 1, skipsDollar });
      } else {
        const child = node.children.get(level);
        if (child !== undefined) {
          ways.push({ nodes: [child].values(), depth: depth + 1, skipsDollar: false });
        }
      }
    }
  }

  #hasRoom(message: Message, levels: readonly string[]): boolean {
    const { retainedMessages, retainedBytes } = this.#bounds;
    let node: Node | undefined = this.#root;
    let more = message.heldBytes;
    for (const level of levels) {
      node = node?.children?.get(level);
      if (node === undefined) more += levelBytes;
    }
    const old = node?.message;
    if (old === undefined && this.#count >= retainedMessages) return false;
    more -= old?.heldBytes ?? 0;
    return more <= 0 || this.#bytes + more <= retainedBytes;
  }

  #find(levels: readonly string[]): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const level of levels) {
      node = node.children?.get(level);
      if (node === undefined) return undefined;
    }
    return node;
  }

  #create(levels: readonly string[]): Node {
    let node = this.#root;
    for (const level of levels) {
      node.children ??= new Map();
      let child = node.children.get(level);
      if (child === undefined) {
        child = createNode(level, node);
        node.children.set(level, child);
        this.#bytes += levelBytes;
      }
      node = child;
    }
    return node;
  }

  #remove(node: Node): void {
    if (node.message === undefined) return;
    this.#count -= 1;
    this.#bytes -= node.message.heldBytes;
    node.message = undefined;
    let empty = node;
    while (
      empty.parent !== undefined &&
      empty.message === undefined &&
      (empty.children === undefined || empty.children.size === 0)
    ) {
      empty.parent.children!.delete(empty.level);
      this.#bytes -= levelBytes;
      empty = empty.parent;
    }
  }

  /** Looks at all of them, so not for every message that finds no room. */
  #removeExpired(): void {
    const now = this.#now();
    if (now < this.#sweptAt + sweepMs) return;
    this.#sweptAt = now;
    const nodes = [this.#root];
    for (let node = nodes.pop(); node !== undefined; node = nodes.pop()) {
      // Not all at once as arguments: they may be more than a call takes.
      for (const child of node.children?.values() ?? []) nodes.push(child);
      if (node.message?.isExpired(now)) this.#remove(node);
    }
  }
}

function createNode(level: string, parent: Node | undefined): Node {
  return { level, parent, children: undefined, message: undefined };
}
