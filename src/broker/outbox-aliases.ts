/**
 * Topic aliases towards one client (OASIS MQTT 5.0, clause 3.3.2.3.4). When all are taken, the one
 * not used for longest stands for another topic.
 */
export class OutboxAliases {
  /** The least recently used first. */
  readonly #aliases = new Map<string, number>();
  readonly #maximum: number;

  constructor(maximum: number) {
    this.#maximum = maximum;
  }

  /** The alias, negative when the client has to be told of it along with its topic. */
  use(topic: string): number {
    const known = this.#aliases.get(topic);
    if (known !== undefined) {
      this.#aliases.delete(topic);
      this.#aliases.set(topic, known);
      return known;
    }
    let alias = this.#aliases.size + 1;
    if (alias > this.#maximum) {
      const [oldest, itsAlias] = this.#aliases.entries().next().value!;
      this.#aliases.delete(oldest);
      alias = itsAlias;
    }
    this.#aliases.set(topic, alias);
    return -alias;
  }
}
