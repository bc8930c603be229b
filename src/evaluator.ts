/**
 * The composition root of evaluations: the agents and tools of a configuration with the gateway, and nothing else. There is
 * no database and no task; the tools that have an effect do not run. What the calls cost is told to whoever keeps the ledger.
 */
import { createHash } from "node:crypto";
import type { AgentDefinition } from "./agent/definition.ts";
import { plainRoute, type ModelRoute } from "./agent/route.ts";
import { defineConfig, toolsOf, type HoldfastConfig } from "./config.ts";
import { evaluate, type Evaluation, type EvaluationOptions } from "./evaluation/evaluate.ts";
import { createPrices } from "./gateway/cost.ts";
import { createModelGateway } from "./gateway/gateway.ts";
import type { ModelGateway } from "./gateway/model-gateway.ts";
import { createProviders } from "./gateway/providers/registry.ts";
import { systemClock, type Clock } from "./platform/clock.ts";
import { NotFoundError } from "./platform/errors.ts";
import { systemId, type NewId } from "./platform/ids.ts";
import { systemRandom } from "./platform/random.ts";
import type { Settings } from "./platform/settings.ts";
import { createMetrics } from "./telemetry/metrics.ts";
import { createToolCatalogue } from "./tools/catalogue.ts";
import { createToolRunner } from "./tools/runner.ts";

export interface EvaluatorOptions {
  readonly settings: Pick<Settings, "providers" | "defaultRoute">;
  /** Parts to use instead of the real ones, for tests. */
  readonly parts?: { readonly gateway?: ModelGateway; readonly clock?: Clock; readonly newId?: NewId };
}

export interface Evaluator {
  /** @throws NotFoundError `unknown_agent` */
  agent(name: string): AgentDefinition;
  /** The route that the agent's calls take. */
  routeOf(agent: AgentDefinition): ModelRoute;
  /** @throws InvalidInputError `judge_missing`, `unknown_tool`; the signal's reason */
  evaluate(options: EvaluationOptions): Promise<Evaluation>;
  close(): Promise<void>;
}

/** @throws InvalidInputError `invalid_config` */
export function createEvaluator(config: HoldfastConfig, { settings, parts = {} }: EvaluatorOptions): Evaluator {
  defineConfig(config);
  const { clock = systemClock, newId = systemId } = parts;
  const { providers, defaultRoute: models } = settings;
  const prices = createPrices(config.models);
  // Nobody is to be measured by faults that are injected.
  const { faults: _faults, drill: _drill, ...own } = config.gateway ?? {};
  const gateway =
    parts.gateway ??
    createModelGateway({ ...own, providers: createProviders(providers), prices, clock, random: systemRandom });
  const tools = createToolRunner({ catalogue: createToolCatalogue(toolsOf(config)), clock, keepLarge: hashOf });
  const metrics = createMetrics();
  const defaultRoute = plainRoute(models.length > 0 ? models : ["rules/default"]);
  const deps = { gateway, prices, tools, metrics, clock, newId, defaultRoute };
  return {
    agent(name) {
      const found = config.agents.find((agent) => agent.name === name);
      if (found !== undefined) return found;
      const names = config.agents.map((agent) => agent.name).join(", ");
      throw new NotFoundError("unknown_agent", `There is no agent "${name}". There are: ${names}.`);
    },
    routeOf: ({ model }) => (model.candidates.length > 0 ? model : defaultRoute),
    evaluate: (options) => evaluate(deps, options),
    close: () => metrics.close(),
  };
}

/** What is too large for the journal is shown to the model by its beginning; nobody asks for the whole afterwards. */
async function hashOf(_owner: unknown, content: string): Promise<string> {
  return createHash("sha256").update(content).digest("hex");
}
