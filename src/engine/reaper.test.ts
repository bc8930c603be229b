import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Hub } from "../events/hub.ts";
import { createSignal } from "../platform/abort.ts";
import type { ProcessLock } from "../store/database.ts";
import type { Deaths } from "../store/queries/workers.ts";
import type { Store } from "../store/store.ts";
import { StoreError } from "../store/store-error.ts";
import { silentLogger } from "../telemetry/log.ts";
import { createVirtualClock } from "../testing/virtual-clock.ts";
import { reap } from "./reaper.ts";

type Held = ProcessLock["held"];
const settled: Held = { key: "1", settledAt: 0 };

/** Looks as often as there is something to see; @returns the locks of each reaping, and the pauses between the looks */
async function play(looks: readonly (Partial<Deaths> | Error)[], held: Held = settled) {
  const reaped: (readonly string[])[] = [];
  const pauses: number[] = [];
  const enough = new AbortController();
  const left = [...looks];
  const store = {
    deaths: async () => {
      const look = left.shift();
      if (left.length === 0) enough.abort();
      if (look instanceof Error) throw look;
      return { workers: 3, expired: 0, freeLocks: [], ...look };
    },
    reap: async (freeLocks: readonly string[]) => {
      reaped.push(freeLocks);
      return [{ id: "task" }];
    },
  } as Pick<Store, "deaths" | "reap"> as Store;
  await reap(
    {
      store,
      hub: new Hub(),
      clock: { ...createVirtualClock(1_000), sleep: async (ms: number) => void pauses.push(ms) },
      random: () => 1,
      log: silentLogger,
      lock: { held, onChange: () => () => {}, release: () => Promise.resolve() },
      pollMs: 500,
      wake: createSignal(),
    },
    enough.signal,
  );
  return { reaped, pauses };
}

describe("The reaper", () => {
  test("takes over from who was found without a lock twice, the second time soon after", async () => {
    const free = { freeLocks: ["7"] };
    assert.deepEqual(await play([{}, free, free, {}]), { reaped: [["7"]], pauses: [200, 100, 200, 200] });
  });

  test("leaves alone who has its lock again, or another one", async () => {
    const { reaped } = await play([{ freeLocks: ["7"] }, {}, { freeLocks: ["7"] }, { freeLocks: ["8"] }]);
    assert.deepEqual(reaped, []);
  });

  test("does not trust locks while it has none itself, or has just got it back: only leases count", async () => {
    const free = { freeLocks: ["7"] };
    for (const held of [null, { key: "1", settledAt: 1_001 }]) {
      assert.deepEqual((await play([free, free, free], held)).reaped, []);
      assert.deepEqual((await play([free, { ...free, expired: 1 }], held)).reaped, [[]]);
    }
  });

  test("looks less often when nobody else is there, and less and less while the store is away", async () => {
    assert.deepEqual((await play([{ workers: 1 }, {}])).pauses, [500, 200]);
    const away = new StoreError("store_unavailable", "It is away.");
    assert.deepEqual((await play([away, away, away, away, away, {}])).pauses, [200, 400, 800, 1_600, 2_000, 200]);
  });
});
