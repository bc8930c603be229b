/** Processes that share a gate, in one process: on a virtual clock that the database goes by, too. */
import { createGate, type GateDeps, type OwnedGate } from "../../src/gateway/gate/create-gate.ts";
import type { CallEnd, GateCall, Pass } from "../../src/gateway/gate/gate.ts";
import type { GateStore } from "../../src/gateway/gate/key-gate.ts";
import type { ModelLimits } from "../../src/gateway/gate/model-limits.ts";
import { neverAborts } from "../../src/platform/abort.ts";
import { systemId } from "../../src/platform/ids.ts";
import type { Database } from "../../src/store/database.ts";
import { createGates } from "../../src/store/gates.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { createVirtualClock, type VirtualClock } from "../../src/testing/virtual-clock.ts";
import { turnsOfTheLoop } from "./event-loop.ts";
import { atTimeOf } from "./running-holdfast.ts";
import { sql } from "./stored-tasks.ts";

export interface GateFleet {
  readonly clock: VirtualClock;
  /** Another process. */
  start(options?: Partial<GateDeps> & { limits?: ModelLimits }): GateProcess;
  /** Lets time pass in steps; whatever a step sets off has been answered before the next. */
  pass(ms: number, stepMs?: number): Promise<void>;
}

export interface GateProcess extends OwnedGate {
  /** What the store was asked. */
  readonly store: GateStore & { asks: number; looks: number; isSilent: boolean };
  /** A call that tells whether it has begun, and how it was refused. */
  call(call?: Partial<GateCall>): Call;
}

export interface Call {
  pass: Pass | undefined;
  refused: unknown;
  readonly over: Promise<void>;
}

export const plainEnd: CallEnd = { usedTokens: null, headers: {}, rateLimited: null };

let models = 0;

/** The model of each fleet is its own. */
export function gateFleet(database: Database): GateFleet & { model: string } {
  const clock = createVirtualClock(1_800_000_000_000);
  const model = `openai/model-${++models}`;
  const settle = async (): Promise<void> => {
    // The embedded database answers in order: what was asked before this has been answered.
    for (let turn = 0; turn < 3; turn++) {
      await database.query(sql("select 1"));
      await turnsOfTheLoop(2);
    }
  };
  return {
    clock,
    model,
    start: ({ limits = {}, ...options } = {}) => {
      const store = watched(createGates(atTimeOf(clock, database)));
      const parts = { clock, random: () => 0.5, log: silentLogger, metrics: createMetrics(), process: systemId() };
      const gate = createGate({ ...parts, store, limitsOf: () => limits, keysOf: () => ["key"], burst: 1, ...options });
      const call = (more: Partial<GateCall> = {}): Call => {
        const signal = neverAborts();
        const state = { pass: undefined as Pass | undefined, refused: undefined as unknown };
        const entering = gate.enter({ model, tenant: "ada", tokens: 1, longestWaitMs: 20_000, signal, ...more });
        const over = entering.then(
          (pass) => void (state.pass = pass),
          (reason: unknown) => void (state.refused = reason),
        );
        return Object.assign(state, { over });
      };
      return { ...gate, store, call };
    },
    pass: async (ms, stepMs = ms) => {
      await settle();
      for (let passed = 0; passed < ms; passed += stepMs) {
        await clock.advance(Math.min(stepMs, ms - passed));
        await settle();
      }
    },
  };
}

function watched(store: GateStore): GateProcess["store"] {
  const answer = <T>(ask: () => Promise<T>): Promise<T> =>
    watchedStore.isSilent ? Promise.reject(new Error("The store does not answer.")) : ask();
  const watchedStore: GateProcess["store"] = {
    asks: 0,
    looks: 0,
    isSilent: false,
    askGate(ask) {
      watchedStore.asks++;
      return answer(() => store.askGate(ask));
    },
    lookAtGate(gate) {
      watchedStore.looks++;
      return answer(() => store.lookAtGate(gate));
    },
  };
  return watchedStore;
}
