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

  static empty<Item>(): SharedList<Item> {
    return new SharedList<Item>([], 0);
  }

  with(items: readonly Item[]): SharedList<Item> {
    const isLongest = this.#storage.length === this.length;
    const storage = isLongest ? this.#storage : this.#storage.slice(0, this.length);
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
