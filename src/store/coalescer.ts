/**
 * Lets things that are done at the same time travel together: while one flush is in flight the next one gathers.
 *
 * There are no timers. A flush begins when the promises of the current turn of the event loop have settled, so what many
 * tasks submit in answer to one event goes together, and a lone item waits for nothing.
 *
 * A flush must be all or nothing. If one of several items fails, each is tried alone, so that a bad item never fails its
 * neighbours; after an error that leaves open whether the flush took effect all of them fail.
 */
import { AssertionError, UnavailableError } from "../platform/errors.ts";
import { isUnavailable } from "./store-error.ts";

export interface CoalescerOptions<Item, Result> {
  /** Answers one result per item, in their order. */
  readonly flush: (items: Item[]) => Promise<Result[]>;
  /** A flush carries at most so many items. */
  readonly maxItems: number;
  /** A flush carries at most so many bytes, unless a single item has more. */
  readonly maxBytes?: number;
  readonly sizeOf?: (item: Item) => number;
  /** Items of equal key are done one after another in the order submitted: never in one flush, never in two lanes. */
  readonly keyOf?: (item: Item) => unknown;
  /** Flushes that may be in flight at once. */
  readonly lanes?: number;
  /** Items that may wait; more are refused. */
  readonly maxWaiting?: number;
}

export interface Coalescer<Item, Result> {
  /** @throws whatever the flush throws; UnavailableError `store_overloaded` when too many wait */
  (item: Item): Promise<Result>;
  /** Resolves when nothing waits and nothing is in flight. */
  idle(): Promise<void>;
}

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly key: unknown;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

export function createCoalescer<Item, Result>(options: CoalescerOptions<Item, Result>): Coalescer<Item, Result> {
  const { keyOf, lanes = 1, maxWaiting = 50_000 } = options;
  let ready: Waiting<Item, Result>[] = [];
  // For each key that is ready or in flight: the items behind it.
  const behind = new Map<unknown, Waiting<Item, Result>[]>();
  let unfinished = 0;
  let inFlight = 0;
  let scheduled = false;
  let idleWaiters: (() => void)[] = [];

  function submit(item: Item): Promise<Result> {
    if (unfinished >= maxWaiting) return Promise.reject(overloaded(maxWaiting));
    return new Promise((resolve, reject) => {
      unfinished++;
      enqueue({ item, key: keyOf?.(item), resolve, reject });
      schedule();
    });
  }

  function enqueue(waiting: Waiting<Item, Result>): void {
    const line = keyOf === undefined ? undefined : behind.get(waiting.key);
    if (line !== undefined) line.push(waiting);
    else {
      if (keyOf !== undefined) behind.set(waiting.key, []);
      ready.push(waiting);
    }
  }

  function schedule(): void {
    if (scheduled || inFlight >= lanes || ready.length === 0) return;
    scheduled = true;
    // A tick that is asked for by a microtask comes after all microtasks, also those that these ask for.
    queueMicrotask(() => process.nextTick(startFlushes));
  }

  function startFlushes(): void {
    scheduled = false;
    while (inFlight < lanes && ready.length > 0) {
      const count = countThatFits(ready, options);
      const batch = ready.slice(0, count);
      ready = ready.slice(count);
      inFlight++;
      const onSettled = (): void => finish(batch);
      send(batch, options.flush).then(onSettled, onSettled);
    }
  }

  function finish(batch: readonly Waiting<Item, Result>[]): void {
    inFlight--;
    unfinished -= batch.length;
    if (keyOf !== undefined) for (const { key } of batch) advance(key);
    schedule();
    if (unfinished === 0) {
      for (const resolve of idleWaiters) resolve();
      idleWaiters = [];
    }
  }

  function advance(key: unknown): void {
    const next = behind.get(key)?.shift();
    if (next === undefined) behind.delete(key);
    else ready.push(next);
  }

  async function idle(): Promise<void> {
    if (unfinished > 0) await new Promise<void>((resolve) => idleWaiters.push(resolve));
  }

  return Object.assign(submit, { idle });
}

function countThatFits<Item, Result>(
  ready: readonly Waiting<Item, Result>[],
  { maxItems, maxBytes = Infinity, sizeOf = () => 0 }: CoalescerOptions<Item, Result>,
): number {
  let bytes = 0;
  let count = 0;
  for (const { item } of ready) {
    bytes += sizeOf(item);
    if (count === maxItems || (count > 0 && bytes > maxBytes)) break;
    count++;
  }
  return count;
}

/** Settles every one of the batch; never rejects. */
async function send<Item, Result>(
  batch: readonly Waiting<Item, Result>[],
  flush: (items: Item[]) => Promise<Result[]>,
): Promise<void> {
  try {
    const results = await flush(batch.map(({ item }) => item));
    if (results.length !== batch.length) {
      throw new AssertionError(`A flush of ${batch.length} items answered ${results.length} results.`);
    }
    for (const [index, { resolve }] of batch.entries()) resolve(results[index]!);
  } catch (error) {
    if (batch.length === 1 || isUnavailable(error) || error instanceof AssertionError) {
      for (const { reject } of batch) reject(error);
    } else {
      for (const waiting of batch) await send([waiting], flush);
    }
  }
}

function overloaded(maxWaiting: number): UnavailableError {
  return new UnavailableError(
    "store_overloaded",
    `${maxWaiting} writes wait for the database already. Slow down, or give it more resources.`,
    { afterMs: 1000 },
  );
}
