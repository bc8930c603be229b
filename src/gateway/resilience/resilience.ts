/**
 * What a process knows of the models it calls and does about their failures: one for all requests that go to providers, so
 * that chat, embeddings and batches keep to the same limits, breakers and budgets, and are seen in the same place.
 */
import type { Clock } from "../../platform/clock.ts";
import type { Random } from "../../platform/random.ts";
import { openGate, type Gate } from "../gate/gate.ts";
import type { ModelStatus } from "../model-gateway.ts";
import { gatewaySettings, type GatewayOptions, type GatewaySettings } from "../options.ts";
import type { Guards } from "./admission.ts";
import type { BreakerState } from "./breaker.ts";
import { createModelRecords } from "./model-records.ts";
import type { RepeatParts } from "./repeats.ts";

/** Who is told what happens, for metrics and logs. */
export interface GatewayObserver {
  /** A call is over. @param ms what it took that was neither the provider's time nor a wait */
  overhead(ms: number): void;
  breaker(model: string, state: BreakerState): void;
  retried(model: string): void;
  hedged(model: string, winner: "first" | "second" | "nobody"): void;
}

export interface Resilience extends Guards, RepeatParts, Pick<GatewaySettings, "timeouts"> {
  readonly observer: GatewayObserver;
  /** How the models do that were called lately. */
  status(): readonly ModelStatus[];
}

export interface ResilienceDeps extends GatewayOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Default: lets everything through. */
  readonly gate?: Gate;
  readonly observer?: GatewayObserver;
}

const nobody: GatewayObserver = { overhead() {}, breaker() {}, retried() {}, hedged() {} };

/** @throws InvalidInputError `invalid_config` with the path of what is wrong */
export function createResilience(deps: ResilienceDeps): Resilience {
  const { clock, random, gate = openGate, observer = nobody } = deps;
  const { attempts, timeouts, ...settings } = gatewaySettings(deps);
  const onBreaker = (model: string, state: BreakerState): void => observer.breaker(model, state);
  const records = createModelRecords({ ...settings, clock, onBreaker });
  return { clock, random, gate, records, attempts, timeouts, observer, status: () => records.status(gate.status()) };
}
