/** The last measurements of something, and how they are spread. */
const most = 256;

export class Samples {
  readonly #values: number[] = [];
  #next = 0;

  add(value: number): void {
    this.#values[this.#next] = value;
    this.#next = (this.#next + 1) % most;
  }

  get count(): number {
    return this.#values.length;
  }

  /** @returns for each share the value that so many do not exceed; null where there is none */
  percentiles(...shares: readonly number[]): (number | null)[] {
    return percentilesOf(this.#values, shares);
  }
}

/** @returns for each share the value that so many do not exceed, by nearest rank; null where there is none */
export function percentilesOf(values: readonly number[], shares: readonly number[]): (number | null)[] {
  const sorted = values.toSorted((one, other) => one - other);
  return shares.map((share) => sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? null);
}
