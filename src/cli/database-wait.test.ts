import assert from "node:assert/strict";
import { test } from "node:test";
import { HoldfastError, type Retry } from "../platform/errors.ts";
import type { Logger } from "../telemetry/log.ts";
import { silentLogger } from "../telemetry/log.ts";
import { createVirtualClock } from "../testing/virtual-clock.ts";
import { startWhenDatabaseAnswers } from "./database-wait.ts";

const away = (retry: Retry = { afterMs: 1_000 }) => new HoldfastError("database_unreachable", "Away.", { retry });

/** A start that fails until a time has come. */
function course({ waitMs, upAtMs, error = away() }: { waitMs: number; upAtMs: number; error?: Error }) {
  const clock = createVirtualClock(0);
  const warnings: string[] = [];
  const log: Logger = { ...silentLogger, warn: (_: unknown, text?: string) => void warnings.push(text ?? "") };
  let tried = 0;
  const start = (): Promise<string> => {
    tried += 1;
    return clock.monotonic() >= upAtMs ? Promise.resolve("up") : Promise.reject(error);
  };
  let isOver = false;
  const ending = async () => {
    const waiting = startWhenDatabaseAnswers({ clock, random: () => 1, log, waitMs }, start);
    const end = await waiting.catch((thrown: Error) => thrown.message);
    isOver = true;
    return { end, at: clock.monotonic() };
  };
  const run = async () => {
    const ended = ending();
    for (let step = 0; step < 1_000 && !isOver; step++) await clock.advance(100);
    return { ...(await ended), tried, warnings };
  };
  return run();
}

test("a service waits for its database and says so once", async () => {
  const { end, at, tried, warnings } = await course({ waitMs: 60_000, upAtMs: 20_000 });
  assert.equal(end, "up");
  assert.ok(at >= 20_000 && at <= 25_100, `it began at ${at}`);
  assert.ok(tried > 3 && tried < 20, `it tried ${tried} times`);
  assert.deepEqual(warnings, ["the database does not answer; waiting for it"]);
});

test("it gives up when its time is over, with a last look then", async () => {
  const { end, at } = await course({ waitMs: 10_000, upAtMs: Number.POSITIVE_INFINITY });
  assert.deepEqual([end, Math.ceil(at / 1_000)], ["Away.", 10]);
  assert.equal((await course({ waitMs: 10_000, upAtMs: 10_000 })).end, "up");
});

test("what waiting does not mend, and where it is not to wait, fails at once", async () => {
  const upAtMs = Number.POSITIVE_INFINITY;
  for (const given of [
    { waitMs: 0, upAtMs },
    { waitMs: 60_000, upAtMs, error: away("never") },
    { waitMs: 60_000, upAtMs, error: new HoldfastError("postgres_too_old", "Old.") },
  ]) {
    const { tried, warnings } = await course(given);
    assert.deepEqual([tried, warnings], [1, []]);
  }
});
