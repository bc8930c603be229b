import assert from "node:assert/strict";
import { test } from "node:test";
import { systemId } from "../../platform/ids.ts";
import type { UsageRow } from "../../store/queries/usage.ts";
import { silentLogger } from "../../telemetry/log.ts";
import { createVirtualClock } from "../../testing/virtual-clock.ts";
import { LateLedger } from "./late-ledger.ts";

const usage = { input: 1, cached: 0, output: 1, reasoning: 0, estimated: false };
const owner = { tenant: "default", agent: null, sessionId: null, userId: null, keyId: null };
const line = (at: number): UsageRow => ({
  ...owner,
  id: systemId(),
  model: "compatible/llama",
  code: null,
  at,
  usage,
  costMicros: null,
});

function start() {
  const clock = createVirtualClock();
  const flushes: number[][] = [];
  let onRecord = (): Promise<void> => Promise.resolve();
  const record = (rows: readonly UsageRow[]): Promise<void> => {
    flushes.push(rows.map(({ at }) => at));
    return onRecord();
  };
  const ledger = new LateLedger({ clock, log: silentLogger, record });
  return { clock, flushes, ledger, answer: (answer: () => Promise<void>) => (onRecord = answer) };
}

test("lines that come within a moment are written together, and those after it with the next ones", async () => {
  const { clock, flushes, ledger } = start();
  ledger.add([line(1)]);
  await clock.advance(49);
  ledger.add([line(2), line(3)]);
  ledger.add([]);
  assert.deepEqual(flushes, []);
  await clock.advance(1);
  assert.deepEqual(flushes, [[1, 2, 3]]);
  ledger.add([line(4)]);
  await clock.advance(50);
  assert.deepEqual(flushes, [[1, 2, 3], [4]]);
  await clock.advance(1_000);
  assert.deepEqual([flushes.length, clock.pending], [2, 0]);
});

test("whoever asks for what is written need not wait for the moment to pass, but for what is on its way", async () => {
  const { clock, flushes, ledger, answer } = start();
  const { promise, resolve } = Promise.withResolvers<void>();
  answer(() => promise);
  ledger.add([line(1)]);
  await clock.advance(50);
  ledger.add([line(2)]);
  let isWritten = false;
  const written = ledger.written().then(() => (isWritten = true));
  await clock.advance(0);
  assert.deepEqual([flushes, isWritten, clock.pending], [[[1], [2]], false, 0]);
  resolve();
  await written;
});

test("lines that cannot be written hold nobody up, nor those after them", async () => {
  const { flushes, ledger, answer } = start();
  answer(() => Promise.reject(new Error("The store is away.")));
  ledger.add([line(1)]);
  await ledger.written();
  ledger.add([line(2)]);
  await ledger.written();
  assert.deepEqual(flushes, [[1], [2]]);
});
