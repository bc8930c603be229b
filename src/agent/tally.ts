/**
 * How often each of many things was counted. Never changed, and yet counting takes constant time however many there are:
 * see shared-list.ts, of which this is the like for a map. Each count is kept as the moments at which it grew, and a tally
 * sees only those before its own end.
 */
export class Tally {
  static readonly empty = new Tally({ end: 0, moments: new Map() }, 0);

  readonly #storage: Storage;
  readonly #end: number;

  private constructor(storage: Storage, end: number) {
    this.#storage = storage;
    this.#end = end;
  }

  with(things: readonly string[]): Tally {
    if (things.length === 0) return this;
    // The empty tally is a constant, which must not keep what grew from it.
    const storage = this.#end > 0 && this.#storage.end === this.#end ? this.#storage : this.#copy();
    for (const thing of things) {
      const moments = storage.moments.get(thing);
      if (moments === undefined) storage.moments.set(thing, [storage.end]);
      else moments.push(storage.end);
      storage.end += 1;
    }
    return new Tally(storage, storage.end);
  }

  count(thing: string): number {
    const moments = this.#storage.moments.get(thing);
    return moments === undefined ? 0 : moments.findLastIndex((moment) => moment < this.#end) + 1;
  }

  #copy(): Storage {
    const moments = new Map<string, number[]>();
    for (const [thing, all] of this.#storage.moments) {
      const seen = all.filter((moment) => moment < this.#end);
      if (seen.length > 0) moments.set(thing, seen);
    }
    return { end: this.#end, moments };
  }
}

interface Storage {
  end: number;
  readonly moments: Map<string, number[]>;
}
