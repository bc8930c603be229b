import assert from "node:assert/strict";
import { test } from "node:test";
import { createVirtualClock } from "../testing/virtual-clock.ts";
import { insist } from "./insist.ts";
import { StoreError } from "./store-error.ts";

const { signal } = new AbortController();
const away = (): StoreError => new StoreError("store_unavailable", "The connection was lost.");

test("a write is tried again while the database is away", async () => {
  const clock = createVirtualClock();
  let tries = 0;
  const write = async (): Promise<string> => {
    tries += 1;
    if (tries < 3) throw away();
    return "done";
  };
  const written = insist(write, { clock, forMs: 60_000, signal });
  await clock.advance(60_000);
  assert.deepEqual([await written, tries], ["done", 3]);
});

test("it is given up in time, and at once where a repeat is of no use", async () => {
  const clock = createVirtualClock();
  let tries = 0;
  const failing = (error: Error) => (): Promise<never> => {
    tries += 1;
    return Promise.reject(error);
  };
  const given = assert.rejects(insist(failing(away()), { clock, forMs: 2_000, signal }), { code: "store_unavailable" });
  await clock.advance(10_000);
  await given;
  assert.ok(tries > 1 && clock.now() >= 2_000);
  tries = 0;
  const wrong = new StoreError("store_failed", "The statement is wrong.");
  await assert.rejects(insist(failing(wrong), { clock, forMs: 2_000, signal }), { code: "store_failed" });
  assert.equal(tries, 1);
});

test("an abort ends the trying", async () => {
  const clock = createVirtualClock();
  const leaving = new AbortController();
  const written = insist(() => Promise.reject(away()), { clock, forMs: 60_000, signal: leaving.signal });
  const rejected = assert.rejects(written, { message: "leaving" });
  await clock.advance(1);
  leaving.abort(new Error("leaving"));
  await rejected;
});
