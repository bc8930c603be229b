/**
 * A list that is never changed and yet grows in constant time: a longer list shares the storage of the one it grew from,
 * and each sees only as far as its own length. A second list that grows from the same one gets a storage of its own.
 */
export class SharedList<Item> implements Iterable<Item> {
  readonly length: number;
  /** Holds more than `length` when a longer list shares it. Nobody overwrites what is there. */
  readonly #storage: Item[];

  private constructor(storage: Item[], length: number) {
    this.#storage = storage;
    this.length = length;
  }

  static of<Item>(items: Iterable<Item> = []): SharedList<Item> {
    const storage = [...items];
    return new SharedList(storage, storage.length);
  }

  with(items: readonly Item[]): SharedList<Item> {
    // An empty list is a constant, which must not keep what grew from it.
    const isNewest = this.length > 0 && this.#storage.length === this.length;
    const storage = isNewest ? this.#storage : this.#storage.slice(0, this.length);
    for (const item of items) storage.push(item);
    return new SharedList(storage, storage.length);
  }

  at(index: number): Item | undefined {
    const position = index < 0 ? this.length + index : index;
    return position < this.length ? this.#storage[position] : undefined;
  }

  *[Symbol.iterator](): Iterator<Item> {
    for (let index = 0; index < this.length; index++) yield this.#storage[index]!;
  }
}
