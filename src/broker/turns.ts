/** Acts one after another, each when what it waits for is durable. */
export class Turns {
  #waiting = 0;
  #tail: Promise<void> = settled;

  /** At once when nothing is to be waited for. `failed` is called instead when it never will be. */
  take(
    durable: Promise<unknown> | undefined,
    act: () => void,
    failed: (error: unknown) => void,
  ): void {
    if (durable === undefined && this.#waiting === 0) {
      act();
      return;
    }
    this.#waiting += 1;
    const before = this.#tail;
    this.#tail = (async () => {
      await before;
      try {
        await durable;
      } catch (error) {
        this.#waiting -= 1;
        failed(error);
        return;
      }
      this.#waiting -= 1;
      act();
    })();
  }
}
const settled = Promise.resolve();
