import assert from "node:assert/strict";
import { test } from "node:test";
import { someRequest } from "../../../test/support/model-caller.ts";
import { plainRoute } from "../../agent/route.ts";
import { StoreError } from "../../store/store-error.ts";
import type { Experiment } from "../../store/queries/experiments.ts";
import { silentLogger, type Logger } from "../../telemetry/log.ts";
import { scriptedGateway } from "../../testing/scripted-model.ts";
import { createVirtualClock, type VirtualClock } from "../../testing/virtual-clock.ts";
import type { DrillResult } from "./drill-tally.ts";
import { createExperiments, type Experiments, type ExperimentOptions, type ExperimentStore } from "./experiments.ts";

const request = someRequest(plainRoute(["a/one", "b/two"]));

interface Process {
  readonly clock: VirtualClock;
  readonly experiments: Experiments;
  /** What is in the store; other processes write there, too. */
  readonly orders: Experiment[];
  readonly results: DrillResult[];
  readonly said: string[];
  /** The store refuses everything. */
  down: boolean;
}

function openProcess(gameDay: boolean, options: ExperimentOptions = {}): Process {
  const clock = createVirtualClock();
  const orders: Experiment[] = [];
  const results: DrillResult[] = [];
  const said: string[] = [];
  const answer = <T>(value: () => T): Promise<T> =>
    opened.down ? Promise.reject(new StoreError("store_unavailable", "away")) : Promise.resolve().then(value);
  const store: ExperimentStore = {
    orderExperiment: (order) => answer(() => void orders.push(order)),
    endExperiment: (kind) =>
      answer(() => void orders.splice(0, orders.length, ...orders.filter((o) => o.kind !== kind))),
    experiments: () => answer(() => orders),
    addDrillResults: (rows) => answer(() => void results.push(...rows)),
    drillResults: () => answer(() => results),
  };
  const log = { ...silentLogger, debug() {}, warn: (...args: unknown[]) => said.push(String(args.at(-1))) };
  const deps = {
    store,
    clock,
    log: log as unknown as Logger,
    gameDay,
    random: () => 0,
    onInjected() {},
    onDrilled() {},
  };
  const opened: Process = {
    clock,
    orders,
    results,
    said,
    down: false,
    experiments: createExperiments({ ...deps, options }),
  };
  return opened;
}

const faults: Experiment = { kind: "faults", value: { faults: [{ model: "*", kind: "hang" }] }, leftMs: 60_000 };

test("what another process has ordered is done here within five seconds, ends by itself, and is told", async () => {
  const { clock, experiments, orders, said } = openProcess(true);
  experiments.start();
  await clock.advance(0);
  orders.push(faults);
  orders.push({ kind: "drill", value: { share: 0.5 }, leftMs: 60_000 });
  await clock.advance(5_000);
  assert.deepEqual([experiments.faults.active.length, experiments.drill.state().share], [1, 0.5]);
  orders.length = 0;
  await clock.advance(5_000);
  assert.deepEqual([experiments.faults.active.length, experiments.drill.state().share], [0, 0]);
  assert.deepEqual(said, [
    "a game day: faults are injected into model calls",
    "the game day is over: no faults are injected any more",
  ]);
  await experiments.stop();
  assert.equal(clock.pending, 0);
});

test("faults do not come into an environment without a game day", async () => {
  const { clock, experiments, orders } = openProcess(false);
  orders.push(faults);
  experiments.start();
  await clock.advance(5_000);
  assert.deepEqual(experiments.faults.active, []);
  await assert.rejects(experiments.orderFaults([{ model: "*", kind: "hang" }], 1), { code: "game_day_off" });
  await experiments.stop();
  assert.throws(() => openProcess(false, { faults: [{ model: "*", kind: "hang" }] }), { code: "game_day_off" });
});

test("faults of the configuration begin with the process and end by themselves", async () => {
  const { clock, experiments } = openProcess(true, { faults: [{ model: "*", kind: "cut", forMs: 7_000 }] });
  experiments.start();
  await clock.advance(6_999);
  assert.equal(experiments.faults.active.length, 1);
  await clock.advance(1);
  assert.equal(experiments.faults.active.length, 0);
  await experiments.stop();
});

test("while the store is away a drill goes on, and what it came to is handed in later, and at the end", async () => {
  const opened = openProcess(false, { drill: { share: 1 } });
  const { clock, experiments, results } = opened;
  const models = scriptedGateway(() => ({ text: "Well." }));
  const call = () => experiments.drill.around(models).call(request);
  experiments.start();
  await clock.advance(0);
  opened.down = true;
  await call();
  await clock.advance(20_000);
  await call();
  assert.deepEqual(results, []);
  opened.down = false;
  await clock.advance(5_000);
  assert.deepEqual(
    results.map(({ calls, answered, path }) => [calls, answered, path]),
    [[2, 2, "fallback"]],
  );
  await call();
  await experiments.stop();
  assert.deepEqual(
    (await experiments.drillResults(1)).map(({ calls }) => calls),
    [3],
  );
});
