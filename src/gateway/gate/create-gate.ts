/** All the gates of this process: one for each model that is called. */
import { createBackground } from "../../platform/background.ts";
import { messageOf } from "../../platform/errors.ts";
import type { Gate, GateCall, Pass } from "./gate.ts";
import type { KeyGateDeps } from "./key-gate.ts";
import { ModelGate, type ModelGateDeps } from "./model-gate.ts";
import type { ModelLimits } from "./model-limits.ts";

export interface GateDeps extends Omit<KeyGateDeps, "window" | "lateMs">, Pick<ModelGateDeps, "metrics"> {
  readonly limitsOf: (model: string) => ModelLimits;
  /** What stands for each key of a model's provider, the same in all processes; empty: the model has no limits. */
  readonly keysOf: (model: string) => readonly string[];
  /** What "per minute" means; only a test has another one. */
  readonly windowMs?: number;
  /** A call reaches its provider within this time of its grant; what takes longer may count in a later window. */
  readonly deliveryMs?: number;
  /** The part of what is free that may begin within a sixtieth of the window; 1: all of it. */
  readonly burst?: number;
  /** Calls that may wait for one model in this process; default 10,000. */
  readonly mostWaiting?: number;
}

export interface OwnedGate extends Gate {
  /** Waits for what is on its way to the store. Calls that still wait are left to their signals. */
  close(): Promise<void>;
}

const bucketsPerWindow = 60;
const minuteMs = 60_000;
/** To connect to a provider takes some hundred milliseconds; to get there on a connection that is open, less. */
const usualDeliveryMs = 1_000;
const usualMostWaiting = 10_000;
const usualBurst = 1 / 8;
/** Names of models may come from callers, so their number has a bound. */
const mostModels = 1_000;

export function createGate(deps: GateDeps): OwnedGate {
  const {
    windowMs = minuteMs,
    deliveryMs = usualDeliveryMs,
    mostWaiting = usualMostWaiting,
    burst = usualBurst,
  } = deps;
  const bucketMs = windowMs / bucketsPerWindow;
  // One more than a window has, as it may begin in the middle of one.
  const buckets = bucketsPerWindow + 1 + Math.ceil(deliveryMs / bucketMs);
  const background = createBackground((name, error) =>
    deps.log.error({ part: name, error: messageOf(error) }, "a fault in the gate"),
  );
  const window = { windowMs, bucketMs, buckets, burst };
  const shared: ModelGateDeps = { ...deps, background, mostWaiting, window, lateMs: deliveryMs / 2 };
  const gates = new Map<string, ModelGate>();
  /** Their models, the one that was called longest ago first. */
  const calledLast = new Set<string>();

  function gateOf(model: string): ModelGate | undefined {
    const gate = gates.get(model) ?? addGate(model);
    if (gate === undefined) return undefined;
    calledLast.delete(model);
    calledLast.add(model);
    return gate;
  }

  function addGate(model: string): ModelGate | undefined {
    const keys = deps.keysOf(model);
    if (keys.length === 0) return undefined;
    if (gates.size >= mostModels) forgetOldestIdle();
    const { maxConcurrent = null, requestsPerMinute = null, tokensPerMinute = null } = deps.limitsOf(model);
    const caps = { concurrent: maxConcurrent, requests: requestsPerMinute, tokens: tokensPerMinute };
    const gate = new ModelGate(shared, { model, keys, caps });
    gates.set(model, gate);
    return gate;
  }

  /** Made-up names must not push out a model in use, nor one at which calls wait or are under way. */
  function forgetOldestIdle(): void {
    for (const model of calledLast) {
      const gate = gates.get(model);
      if (gate?.isIdle !== true) continue;
      gate.stop();
      gates.delete(model);
      calledLast.delete(model);
      if (gates.size < mostModels) return;
    }
  }

  function enter(call: GateCall): Promise<Pass> {
    if (call.signal.aborted) return Promise.reject(call.signal.reason);
    return gateOf(call.model)?.enter(call) ?? Promise.resolve(freePass);
  }

  return {
    enter,
    status: () => [...gates.values()].flatMap((gate) => gate.status()),
    async close() {
      for (const gate of gates.values()) gate.stop();
      await background.settled();
    },
  };
}

const freePass: Pass = { key: 0, leave: () => {} };
