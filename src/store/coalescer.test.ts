import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AssertionError } from "../platform/errors.ts";
import { createCoalescer } from "./coalescer.ts";
import { StoreError } from "./store-error.ts";

interface Flight {
  readonly items: string[];
  land(): void;
  crash(error: unknown): void;
}

/** A flush whose answers the test gives by hand; each answers its items in capitals. */
function controlledFlush() {
  const flights: Flight[] = [];
  let onFlight = Promise.withResolvers<void>();
  const flush = (items: string[]): Promise<string[]> => {
    const { promise, resolve, reject } = Promise.withResolvers<string[]>();
    flights.push({ items, land: () => resolve(items.map((item) => item.toUpperCase())), crash: reject });
    onFlight.resolve();
    return promise;
  };
  /** Resolves when the n-th flight, counted from 0, has begun. */
  const begun = async (n: number): Promise<Flight> => {
    while (flights.length <= n) {
      await onFlight.promise;
      onFlight = Promise.withResolvers();
    }
    return flights[n]!;
  };
  return { flush, flights, begun };
}

const settled = async (promises: Promise<unknown>[]): Promise<unknown[]> =>
  (await Promise.allSettled(promises)).map((result) =>
    result.status === "fulfilled" ? result.value : result.reason.code,
  );

test("what is submitted in one turn travels together, also from promises that settle in it", async () => {
  const { flush, flights, begun } = controlledFlush();
  const submit = createCoalescer({ flush, maxItems: 10 });
  const late = async (item: string): Promise<string> => {
    for (let depth = 0; depth < 10; depth++) await Promise.resolve();
    return submit(item);
  };
  await new Promise((resolve) => setImmediate(resolve));
  const answers = Promise.all([submit("a"), submit("b"), late("c")]);
  (await begun(0)).land();
  assert.deepEqual(await answers, ["A", "B", "C"]);
  assert.deepEqual(
    flights.map(({ items }) => items),
    [["a", "b", "c"]],
  );
});

test("while one flush is in flight the next gathers, at most so many items each", async () => {
  const { flush, flights, begun } = controlledFlush();
  const submit = createCoalescer({ flush, maxItems: 2 });
  const first = submit("a");
  const one = await begun(0);
  const rest = ["b", "c", "d"].map((item) => submit(item));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(flights.length, 1);
  one.land();
  (await begun(1)).land();
  (await begun(2)).land();
  assert.deepEqual(await Promise.all([first, ...rest]), ["A", "B", "C", "D"]);
  assert.deepEqual(
    flights.map(({ items }) => items),
    [["a"], ["b", "c"], ["d"]],
  );
});

test("a flush carries at most so many bytes, but always one item", async () => {
  const sizes: number[][] = [];
  const submit = createCoalescer<number, number>({
    flush: async (items) => (sizes.push(items), items),
    maxItems: 10,
    maxBytes: 100,
    sizeOf: (size) => size,
  });
  await Promise.all([60, 40, 1, 500, 99, 2].map((size) => submit(size)));
  assert.deepEqual(sizes, [[60, 40], [1], [500], [99], [2]]);
});

test("with several lanes as many flushes are in flight", async () => {
  const { flush, flights, begun } = controlledFlush();
  const submit = createCoalescer({ flush, maxItems: 1, lanes: 2 });
  const answers = ["a", "b", "c"].map((item) => submit(item));
  await begun(1);
  assert.equal(flights.length, 2);
  flights[1]!.land();
  await begun(2);
  flights[0]!.land();
  flights[2]!.land();
  assert.deepEqual(await Promise.all(answers), ["A", "B", "C"]);
});

test("a bad item does not fail its neighbours", async () => {
  const flushed: string[][] = [];
  const submit = createCoalescer<string, string>({
    flush: async (items) => {
      flushed.push(items);
      if (items.includes("bad")) throw new StoreError("unique_violation", "exists");
      return items.map((item) => item.toUpperCase());
    },
    maxItems: 10,
  });
  assert.deepEqual(await settled(["a", "bad", "c"].map((item) => submit(item))), ["A", "unique_violation", "C"]);
  assert.deepEqual(flushed, [["a", "bad", "c"], ["a"], ["bad"], ["c"]]);
});

test("an error that leaves open whether the flush took effect fails all of it, and is not tried again", async () => {
  for (const error of [new StoreError("store_unavailable", "lost"), new AssertionError("wrong")]) {
    let flushes = 0;
    const submit = createCoalescer<string, string>({
      flush: async () => {
        flushes++;
        throw error;
      },
      maxItems: 10,
    });
    assert.deepEqual(await settled([submit("a"), submit("b")]), [error.code, error.code]);
    assert.equal(flushes, 1);
  }
});

test("a flush that throws at once or answers too few results fails its items, and the next one goes on", async () => {
  let broken = true;
  const submit = createCoalescer<string, string>({
    flush: (items) => {
      if (items[0] === "throws") throw new StoreError("store_failed", "no");
      return Promise.resolve(broken ? [] : items);
    },
    maxItems: 10,
  });
  assert.deepEqual(await settled([submit("throws")]), ["store_failed"]);
  assert.deepEqual(await settled([submit("a"), submit("b")]), ["assertion_failed", "assertion_failed"]);
  broken = false;
  assert.equal(await submit("c"), "c");
});

test("items of one key go one after another, and others overtake them", async () => {
  const { flush, flights, begun } = controlledFlush();
  const submit = createCoalescer({ flush, maxItems: 10, lanes: 2, keyOf: (item) => item[0] });
  const answers = ["a1", "a2", "b1", "a3"].map((item) => submit(item));
  const one = await begun(0);
  answers.push(submit("c1"));
  (await begun(1)).land();
  one.land();
  (await begun(2)).land();
  (await begun(3)).land();
  assert.deepEqual(await Promise.all(answers), ["A1", "A2", "B1", "A3", "C1"]);
  assert.deepEqual(
    flights.map(({ items }) => items),
    [["a1", "b1"], ["c1"], ["a2"], ["a3"]],
  );
});

test("more than may wait are refused, and accepted again when there is room", async () => {
  const { flush, begun } = controlledFlush();
  const submit = createCoalescer({ flush, maxItems: 10, maxWaiting: 2 });
  const accepted = [submit("a"), submit("b")];
  await assert.rejects(submit("c"), { code: "store_overloaded", retry: { afterMs: 1000 } });
  (await begun(0)).land();
  await Promise.all(accepted);
  const again = submit("c");
  (await begun(1)).land();
  assert.equal(await again, "C");
});

test("idle waits for what waits and what is in flight, failed or not", async () => {
  const { flush, begun } = controlledFlush();
  const submit = createCoalescer({ flush, maxItems: 1 });
  await submit.idle();
  let done = 0;
  const count = (): void => void done++;
  submit("a").then(count, count);
  submit("b").then(count, count);
  const idle = submit.idle();
  (await begun(0)).crash(new StoreError("store_failed", "no"));
  (await begun(1)).land();
  await idle;
  assert.equal(done, 2);
});

test("whatever is submitted when, each item is answered once and each key is done in order, never twice at a time", async () => {
  const plan = fc.record({
    items: fc.array(fc.record({ key: fc.nat(3), pause: fc.nat(3), bad: fc.boolean() }), { maxLength: 40 }),
    maxItems: fc.integer({ min: 1, max: 5 }),
    lanes: fc.integer({ min: 1, max: 3 }),
  });
  type Item = { key: number; n: number; bad: boolean };
  await fc.assert(
    fc.asyncProperty(plan, async ({ items, maxItems, lanes }) => {
      const busy = new Set<number>();
      const done: Item[] = [];
      const flush = async (batch: Item[]): Promise<number[]> => {
        assert.ok(batch.length <= maxItems);
        for (const { key } of batch) {
          assert.ok(!busy.has(key), "a key is in two flushes, or twice in one");
          busy.add(key);
        }
        await new Promise((resolve) => setImmediate(resolve));
        for (const { key } of batch) busy.delete(key);
        if (batch.some(({ bad }) => bad)) throw new StoreError("store_failed", "bad");
        done.push(...batch);
        return batch.map(({ n }) => n);
      };
      const submit = createCoalescer<Item, number>({ flush, maxItems, lanes, keyOf: ({ key }) => key });
      const answers: Promise<number>[] = [];
      for (const [n, { key, pause, bad }] of items.entries()) {
        answers.push(submit({ key, n, bad }));
        answers.at(-1)!.catch(() => {});
        for (let turn = 0; turn < pause; turn++) await new Promise((resolve) => setImmediate(resolve));
      }
      assert.deepEqual(
        await settled(answers),
        items.map(({ bad }, n) => (bad ? "store_failed" : n)),
      );
      for (const wanted of [0, 1, 2, 3]) {
        const order = done.filter(({ key }) => key === wanted).map(({ n }) => n);
        assert.deepEqual(
          order,
          order.toSorted((a, b) => a - b),
        );
      }
    }),
    { numRuns: 60 },
  );
});
