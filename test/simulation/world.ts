/**
 * The simulated world: one virtual time and one queue of events, in the order of which a seed decides everything.
 *
 * Whatever is not a plain computation (a query on its way, its answer, a timer, a token of a model, an effect outside, a
 * word between processes) is an event with an owner. An event runs only while its owner runs: what belongs to a process
 * that died is dropped, what belongs to one that is paused waits. Between two events all promises settle, so nothing but
 * the queue orders what happens.
 */
import { createHash } from "node:crypto";
import type { Random } from "../../src/platform/random.ts";
import { seededRandom } from "../support/seeded-random.ts";

/** Someone whose events these are: a process, a customer, the network. */
export interface Owner {
  readonly name: string;
  state: "running" | "paused" | "gone";
}

interface Event {
  at: number;
  /** Decides among events of one moment. */
  readonly lot: number;
  readonly owner: Owner;
  readonly isTimer: boolean;
  readonly label: string;
  readonly run: () => void | Promise<void>;
}

export interface Planned {
  readonly owner: Owner;
  readonly afterMs: number;
  /** For the trace; "" leaves no line. */
  readonly label: string;
  /** A process that comes back from a pause may find its timers due before what came over the wire. */
  readonly isTimer?: boolean;
  readonly run: () => void | Promise<void>;
}

/** Any moment will do; the same one for every seed. */
const beginning = Date.UTC(2030, 0, 1);

export class World {
  readonly random: Random;
  /** Wires, customers and all else that no fault takes away. */
  readonly outside: Owner = { name: "outside", state: "running" };
  now = beginning;
  readonly #events = new Set<Event>();
  readonly #hash = createHash("sha256");
  readonly lines: string[] = [];

  constructor(seed: number) {
    this.random = seededRandom(seed);
  }

  /** Milliseconds since the simulation began. */
  get elapsed(): number {
    return this.now - beginning;
  }

  between(least: number, most: number): number {
    return least + this.random() * (most - least);
  }

  integer(least: number, most: number): number {
    return Math.floor(this.between(least, most + 1));
  }

  chance(probability: number): boolean {
    return this.random() < probability;
  }

  pick<Item>(items: readonly Item[]): Item {
    if (items.length === 0) throw new Error("There is nothing to pick from.");
    return items[Math.floor(this.random() * items.length)]!;
  }

  /** @returns a function that takes it back */
  plan({ owner, afterMs, label, isTimer = false, run }: Planned): () => void {
    const at = this.now + Math.max(0, afterMs);
    const event: Event = { at, lot: this.random(), owner, isTimer, label, run };
    this.#events.add(event);
    return () => void this.#events.delete(event);
  }

  /** How long somebody who is in no process waits. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.plan({ owner: this.outside, afterMs: ms, label: "", run: resolve }));
  }

  /** Runs the next event and lets all that follows from it settle. @returns false when nothing can happen any more */
  async step(): Promise<boolean> {
    const next = this.#next();
    if (next === undefined) return false;
    this.#events.delete(next);
    this.now = Math.max(this.now, next.at);
    if (next.label !== "") this.trace(next.owner, next.label);
    await next.run();
    await settled();
    return true;
  }

  trace(owner: Owner, text: string): void {
    const line = `${this.elapsed.toFixed(2)} ${owner.name}: ${text}`;
    this.#hash.update(line);
    this.lines.push(line);
  }

  /** Counts for the hash, but is not told. */
  absorb(text: string): void {
    this.#hash.update(text);
  }

  /** Equal for two runs that took the same course. */
  hash(): string {
    return this.#hash.copy().digest("hex").slice(0, 16);
  }

  /** It dies on the spot: nothing it waited for ever comes. */
  end(owner: Owner): void {
    owner.state = "gone";
    for (const event of this.#events) if (event.owner === owner) this.#events.delete(event);
  }

  /** It stands still: what it waits for comes later. */
  pause(owner: Owner): void {
    if (owner.state === "running") owner.state = "paused";
  }

  /** What fell due meanwhile comes all at once: timers first, as after a long stop, or what the wire brought. */
  resume(owner: Owner, timersFirst: boolean): void {
    if (owner.state !== "paused") return;
    this.trace(owner, "comes back");
    owner.state = "running";
    const due = [...this.#events].filter((event) => event.owner === owner && event.at < this.now);
    due.sort((a, b) => a.at - b.at || a.lot - b.lot);
    for (const [index, event] of due.entries()) {
      const isLate = event.isTimer !== timersFirst;
      event.at = this.now + (isLate ? 0.5 : 0) + index * 0.0001;
    }
  }

  #next(): Event | undefined {
    let next: Event | undefined;
    for (const event of this.#events) {
      if (event.owner.state !== "running") continue;
      if (next === undefined || event.at < next.at || (event.at === next.at && event.lot < next.lot)) next = event;
    }
    return next;
  }
}

/** All that runs now comes to its next wait. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
