/** What runs here: agents and tools, as written in holdfast.config.ts. */
import type { AgentDefinition } from "./agent/definition.ts";
import { assignmentRules, type AssignmentOptions } from "./engine/assignment/assignment-rules.ts";
import { overloadLimits, type OverloadOptions } from "./engine/overload.ts";
import { queueRules, type TenantRules } from "./engine/queue-rules.ts";
import { namedRoutes, type NamedRouteOptions } from "./gateway/route/named-routes.ts";
import { gatewaySettings, type GatewayOptions } from "./gateway/options.ts";
import { createPrices, type ModelFacts } from "./gateway/cost.ts";
import { parseExperiments, type ExperimentOptions } from "./gateway/experiments/experiments.ts";
import { InvalidInputError, messageOf } from "./platform/errors.ts";
import { createToolCatalogue } from "./tools/catalogue.ts";
import type { Tool } from "./tools/define-tool.ts";

export interface HoldfastConfig {
  readonly agents: readonly AgentDefinition[];
  // A tool takes only its own input: in a list of many, `never` is the one type that all of them accept.
  readonly tools?: readonly Tool<never, unknown>[];
  /** Tasks that run at the same time in one process; default 256. */
  readonly slots?: number;
  /** Tasks that may wait for a worker, before submits are refused with 429; default 10,000. */
  readonly maxWaiting?: number;
  /** Tasks of one session that may be open, before submits to it are refused with 429; default 1,000. */
  readonly maxPerSession?: number;
  /** What each tenant may have of the queue, unless `tenants` says otherwise. */
  readonly tenantRules?: TenantRules;
  /** By the name of the tenant. */
  readonly tenants?: Readonly<Record<string, TenantRules>>;
  /** What models cost and how much they can read, by `provider/model`, where the public list does not know or is wrong. */
  readonly models?: Readonly<Record<string, ModelFacts>>;
  /** How models are called: attempts, time limits, what their providers allow; and what is tried out on purpose. */
  readonly gateway?: GatewayOptions & ExperimentOptions & NamedRouteOptions;
  /** Tasks that name no agent are given to the one that fits them best; `true`: by words. Default: they must name one. */
  readonly assignment?: boolean | AssignmentOptions;
  /** When a process that cannot keep up refuses new tasks with 503; `false`: never. */
  readonly overload?: OverloadOptions | false;
}

/**
 * Checks a configuration as a whole: names are unique, every tool an agent refers to exists.
 * @throws InvalidInputError `invalid_config` with the path of what is wrong
 */
export function defineConfig(config: HoldfastConfig): HoldfastConfig {
  if (config.agents.length === 0) throw invalid("There is no agent in it.", "/agents");
  const catalogue = createToolCatalogue(toolsOf(config));
  const names = new Set<string>();
  for (const [index, agent] of config.agents.entries()) {
    if (names.has(agent.name)) throw invalid(`Two agents are named "${agent.name}".`, `/agents/${index}/name`);
    names.add(agent.name);
    for (const [position, reference] of agent.tools.entries()) {
      try {
        catalogue.resolve(reference);
      } catch (error) {
        throw invalid(`Agent "${agent.name}": ${messageOf(error)}`, `/agents/${index}/tools/${position}`);
      }
    }
  }
  const { slots } = config;
  if (slots !== undefined && !(Number.isInteger(slots) && slots > 0))
    throw invalid(`slots is ${slots}, but must be a whole number above 0.`, "/slots");
  queueRules(config);
  assignmentRules(config);
  createPrices(config.models);
  gatewaySettings(config.gateway);
  namedRoutes(config.gateway);
  parseExperiments(config.gateway);
  if (config.overload !== undefined && config.overload !== false) overloadLimits(config.overload);
  return config;
}

/** The tools of a configuration, each taking whatever its own schema lets through. */
export function toolsOf({ tools = [] }: HoldfastConfig): readonly Tool[] {
  return tools as readonly Tool[];
}

function invalid(message: string, path: string): InvalidInputError {
  return new InvalidInputError("invalid_config", message, path);
}
