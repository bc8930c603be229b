/** What the HTTP server is given, and what its routes share. */
import type { ServerResponse } from "node:http";
import type { Engine } from "../../engine/engine.ts";
import { onlyTenant } from "../../engine/tenant.ts";
import type { TaskAddress } from "../../engine/watch.ts";
import type { CacheLookups } from "../../gateway/cache/cache-lookups.ts";
import type { Experiments } from "../../gateway/experiments/experiments.ts";
import type { ModelStatus } from "../../gateway/model-gateway.ts";
import type { Clock } from "../../platform/clock.ts";
import type { NewId } from "../../platform/ids.ts";
import type { Settings } from "../../platform/settings.ts";
import type { Store } from "../../store/store.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { Tool } from "../../tools/define-tool.ts";
import type { LateLedger } from "../openai/late-ledger.ts";
import type { ModelService } from "../openai/model-service.ts";

/** What is served: a Holdfast is one. */
export interface Service {
  readonly engine: Engine;
  readonly store: Store;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly settings: Pick<Settings, "defaultRoute" | "providers">;
  readonly config: { readonly tools?: readonly Tool<never, unknown>[] };
  /** Undefined in a process that only serves. */
  readonly worker: { readonly leased: boolean } | undefined;
  readonly experiments: Experiments;
  readonly caches: Pick<CacheLookups, "report">;
  /** How the models do that this process called. */
  modelStatus(): readonly ModelStatus[];
  /** Refuses new tasks while the process cannot keep up. */
  readonly overload: { admit(): void };
  readonly models: ModelService;
}

export interface ServerDeps {
  readonly service: Service;
  readonly clock: Clock;
  readonly newId: NewId;
  /** Whether models are called with a virtual key alone, even while there is none. */
  readonly keysNeeded: () => boolean;
  /** Aborts when the server closes: whoever waits leaves. */
  readonly closing: AbortSignal;
  readonly stream: StreamPace;
  /** What is in it is written before the server has closed. */
  readonly lateLedger: LateLedger;
}

export interface StreamPace {
  /** A comment is sent after this long, so that proxies do not take the stream for dead. */
  readonly heartbeatMs: number;
  /** A reader that takes nothing for this long is dropped. */
  readonly stallMs: number;
}

/** Until there is identity: who does what nobody signed. */
export const operator = "operator";

export function addressOf(taskId: string): TaskAddress {
  // News of a task travel under its id as the store spells it.
  return { tenant: onlyTenant, taskId: taskId.toLowerCase() };
}

/**
 * Every request ends with an abort. `abort()` would make a reason of its own each time, with a stack that nobody reads: that
 * takes longer than all the rest of it.
 */
const over = new DOMException("The request is over", "AbortError");

/** Aborts when the client has gone, when it was answered, or when the server closes. */
export function untilGone(response: ServerResponse, closing: AbortSignal): AbortSignal {
  const gone = new AbortController();
  const leave = (): void => {
    closing.removeEventListener("abort", leave);
    response.off("close", leave);
    gone.abort(over);
  };
  if (closing.aborted || response.closed) gone.abort(over);
  else {
    closing.addEventListener("abort", leave);
    response.on("close", leave);
  }
  return gone.signal;
}
