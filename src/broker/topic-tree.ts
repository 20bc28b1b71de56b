interface Node<T> {
  readonly children: Map<string, Node<T>>;
  /** Of filters that end here, and of those that end in `#` behind here. */
  readonly here: T[];
  readonly below: T[];
}

function createNode<T>(): Node<T> {
  return { children: new Map(), here: [], below: [] };
}

/**
 * Values by topic filter (OASIS MQTT 5.0, clause 4.7), found by topic name. A topic that begins
 * with `$` is not found by filters that begin with a wildcard [MQTT-4.7.2-1].
 */
export class TopicTree<T> {
  readonly #root = createNode<T>();
  #size = 0;

  /** Values kept. */
  get size(): number {
    return this.#size;
  }

  add(filter: string, value: T): void {
    const levels = filter.split('/');
    const open = levels.at(-1) === '#';
    if (open) levels.pop();
    let node = this.#root;
    for (const level of levels) {
      let child = node.children.get(level);
      if (child === undefined) {
        child = createNode();
        node.children.set(level, child);
      }
      node = child;
    }
    (open ? node.below : node.here).push(value);
    this.#size += 1;
  }

  /** Removes the value that `is` picks; false when there is none. */
  remove(filter: string, is: (value: T) => boolean): boolean {
    const levels = filter.split('/');
    const open = levels.at(-1) === '#';
    if (open) levels.pop();
    const way = [this.#root];
    for (const level of levels) {
      const child = way.at(-1)!.children.get(level);
      if (child === undefined) return false;
      way.push(child);
    }
    const node = way.at(-1)!;
    const values = open ? node.below : node.here;
    const index = values.findIndex(is);
    if (index < 0) return false;
    values.splice(index, 1);
    this.#size -= 1;
    for (let depth = levels.length; depth > 0; depth--) {
      const { children, here, below } = way[depth]!;
      if (children.size > 0 || here.length > 0 || below.length > 0) break;
      way[depth - 1]!.children.delete(levels[depth - 1]!);
    }
    return true;
  }

  /** The values whose filters match; the shared empty array when there are none. */
  match(topic: string): readonly T[] {
    return this.#collect(topic, { left: Number.POSITIVE_INFINITY });
  }

  /** As `match`, but undefined where there are more than `most` of them, or of places to look at. */
  matchFew(topic: string, most: number): readonly T[] | undefined {
    const budget = { left: most };
    const found = this.#collect(topic, budget);
    return budget.left < 0 ? undefined : found;
  }

  /**
   * As `match`, piece by piece: some pieces are empty. Between them the tree may change; of values
   * that are there all the while none is left out.
   */
  *walk(topic: string): Generator<readonly T[]> {
    const wild = topic.charCodeAt(0) !== dollar;
    if (wild) yield [...this.#root.below];
    const ways: Way<T>[] = [{ node: this.#root, from: 0 }];
    for (let way = ways.pop(); way !== undefined; way = ways.pop()) {
      const { node, from } = way;
      if (from < 0) {
        yield [...node.here];
        continue;
      }
      const slash = topic.indexOf('/', from);
      const level = slash < 0 ? topic.slice(from) : topic.slice(from, slash);
      const exact = node.children.get(level);
      const any = wild || from > 0 ? node.children.get('+') : undefined;
      for (const child of exact === any ? [exact] : [exact, any]) {
        if (child === undefined) continue;
        ways.push({ node: child, from: slash < 0 ? -1 : slash + 1 });
        yield [...child.below];
      }
    }
  }

  #collect(topic: string, budget: Budget): readonly T[] {
    if (this.#size === 0) return nothing;
    const found: T[] = [];
    const wild = topic.charCodeAt(0) !== dollar;
    if (wild) take(this.#root.below, found, budget);
    collect(this.#root, topic, 0, wild, found, budget);
    return found.length === 0 ? nothing : found;
  }
}
const nothing: readonly never[] = Object.freeze([]);
const dollar = 0x24;

/** Where a walk goes on: at the level of the topic that begins there, or -1 behind the last. */
interface Way<T> {
  readonly node: Node<T>;
  readonly from: number;
}

/** Values and nodes that may still be looked at; below 0 the search has ended early. */
interface Budget {
  left: number;
}

function take<T>(values: readonly T[], found: T[], budget: Budget): void {
  if (values.length === 0) return;
  budget.left -= values.length;
  if (budget.left >= 0) found.push(...values);
}

function collect<T>(
  node: Node<T>,
  topic: string,
  from: number,
  wild: boolean,
  found: T[],
  budget: Budget,
): void {
  budget.left -= 1;
  if (budget.left < 0) return;
  const slash = topic.indexOf('/', from);
  const level = slash < 0 ? topic.slice(from) : topic.slice(from, slash);
  const exact = node.children.get(level);
  if (exact !== undefined) visit(exact, topic, slash, found, budget);
  const any = wild ? node.children.get('+') : undefined;
  if (any !== undefined && any !== exact) visit(any, topic, slash, found, budget);
}

function visit<T>(node: Node<T>, topic: string, slash: number, found: T[], budget: Budget): void {
  take(node.below, found, budget);
  if (slash >= 0) collect(node, topic, slash + 1, true, found, budget);
  else take(node.here, found, budget);
}

/** Whether the filter matches the topic; by the same rules. */
export function filterMatches(filter: string, topic: string): boolean {
  const first = filter.charCodeAt(0);
  if ((first === hash || first === plus) && topic.charCodeAt(0) === dollar) return false;
  let at = 0;
  let from = 0;
  for (;;) {
    const filterSlash = filter.indexOf('/', at);
    const level = filterSlash < 0 ? filter.slice(at) : filter.slice(at, filterSlash);
    if (level === '#') return true;
    const slash = topic.indexOf('/', from);
    if (level !== '+' && level !== (slash < 0 ? topic.slice(from) : topic.slice(from, slash))) {
      return false;
    }
    if (filterSlash < 0) return slash < 0;
    // `a/#` matches `a` as well.
    if (slash < 0) return filter.length === filterSlash + 2 && filter.endsWith('#');
    at = filterSlash + 1;
    from = slash + 1;
  }
}
const hash = 0x23;
const plus = 0x2b;
