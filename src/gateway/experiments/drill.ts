/**
 * Drills: a share of the calls goes to the fallback of its route as if what comes first had failed, so that a fallback is
 * known to work before it is needed, and at what price.
 *
 * A drilled call is a real one with a real answer. If the fallback fails it, the first candidates answer after all: nobody
 * loses an answer to a drill. While there is a drill, the other calls of the same routes are measured, too, since only what
 * was measured at the same time can be compared.
 */
import type { ModelChoice } from "../../agent/journal.ts";
import type { ModelRoute } from "../../agent/route.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Random } from "../../platform/random.ts";
import { drilledRoute, fallbackOf, primaryOf } from "./drill-route.ts";
import { isOpen, type DrillPlan } from "./drill-plan.ts";
import type { DrillCall, DrillPath, DrillTally } from "./drill-tally.ts";
import { paidIn, sumKnown } from "../cost.ts";
import { ModelCallError, type ModelGateway, type ModelReply, type ModelRequest } from "../model-gateway.ts";

export interface DrillDeps {
  readonly clock: Clock;
  readonly random: Random;
  /** By configuration; null: none. */
  readonly plan: DrillPlan | null;
  readonly tally: DrillTally;
  /** Told of each call that counts. */
  readonly onCall: (call: { path: DrillPath; outcome: DrillOutcome }) => void;
}

/** `rescued`: not by the models of its path, but by the others of its route. `failed`: by nobody. */
export type DrillOutcome = "answered" | "rescued" | "failed";

export interface DrillOrder {
  readonly share: number;
  /** Milliseconds since the epoch. */
  readonly until: number;
}

export interface DrillState {
  /** Of the calls, now; 0: there is no drill. */
  readonly share: number;
  readonly source: "config" | "request" | null;
  /** Milliseconds since the epoch; null: it has no end, or there is none. */
  readonly until: number | null;
}

export class Drill {
  readonly #deps: DrillDeps;
  #order: DrillOrder | null = null;

  constructor(deps: DrillDeps) {
    this.#deps = deps;
  }

  /** What an operator asks for goes before what the configuration says. */
  order(order: DrillOrder | null): void {
    this.#order = order;
  }

  state(): DrillState {
    const { clock, plan } = this.#deps;
    const now = clock.now();
    if (this.#order !== null && this.#order.until > now) return { ...this.#order, source: "request" };
    if (plan === null || !isOpen(plan, now)) return { share: 0, source: null, until: null };
    return { share: plan.share, source: "config", until: null };
  }

  /** A gateway that sends its calls through the drill. */
  around(gateway: ModelGateway): ModelGateway {
    const status = gateway.status?.bind(gateway);
    return { call: (request) => this.#call(gateway, request), ...(status && { status }) };
  }

  async #call(gateway: ModelGateway, request: ModelRequest): Promise<ModelReply> {
    const { clock, random } = this.#deps;
    const { share } = this.state();
    const drilled = share === 0 ? null : drilledRoute(request.route);
    if (drilled === null) return gateway.call(request);
    const path: DrillPath = random() < share ? "fallback" : "primary";
    const startedAt = clock.monotonic();
    const route = routeKey(request.route);
    try {
      const reply = await gateway.call(path === "fallback" ? { ...request, route: drilled } : request);
      const ms = clock.monotonic() - startedAt;
      if (isTelling(reply)) this.#count({ ...route, path, ...measured(reply, modelsOn(path, request.route)), ms });
      return path === "primary" ? reply : { ...reply, choice: choiceOf(reply, request.route) };
    } catch (error) {
      if (error instanceof ModelCallError && error.retry !== "never") this.#count({ ...route, path, ...nothing });
      throw error;
    }
  }

  #count(call: DrillCall): void {
    const { path, answered, ms } = call;
    this.#deps.tally.add(call);
    this.#deps.onCall({ path, outcome: answered ? "answered" : ms === null ? "failed" : "rescued" });
  }
}

const nothing = { answered: false, tokens: 0, costMicros: 0, ms: null, ttftMs: null };

/** Whether the reply says anything of its models: not if no model was asked, or not let to finish. */
function isTelling({ hit, finish }: ModelReply): boolean {
  return hit === undefined && finish !== "interrupted";
}

function measured(reply: ModelReply, models: readonly string[]) {
  const paid = [reply, ...paidIn(reply.attempts)];
  return {
    answered: models.includes(reply.model),
    tokens: paid.reduce((sum, { usage }) => sum + usage.input + usage.output, 0),
    costMicros: sumKnown(paid.map(({ costMicros }) => costMicros)),
    ttftMs: reply.whole === true ? null : reply.ttftMs,
  };
}

function modelsOn(path: DrillPath, route: ModelRoute): string[] {
  return namesIn(path === "primary" ? primaryOf(route) : fallbackOf(route));
}

function routeKey(route: ModelRoute): { first: string; fallback: string } {
  return { first: namesIn(primaryOf(route)).join(","), fallback: namesIn(fallbackOf(route)).join(",") };
}

function namesIn(route: ModelRoute | null): string[] {
  return [...new Set(route?.candidates.map(({ model }) => model))];
}

function choiceOf({ model, choice }: ModelReply, route: ModelRoute): ModelChoice {
  const first = namesIn(primaryOf(route));
  const asIf = `a drill, as if ${first.join(" and ")} had failed`;
  const after = first.includes(model) ? "; the fallback failed, so it answered after all" : "";
  return { strategy: "drill", reason: `${asIf}${after}${choice === undefined ? "" : ` (${choice.reason})`}` };
}
