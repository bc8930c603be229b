/** What the name of a model stands for: an agent, a route of the configuration, or a model of a provider. */
import type { AgentDefinition } from "../../agent/definition.ts";
import { modelsOf, plainRoute, type ModelRoute } from "../../agent/route.ts";
import { HoldfastError } from "../../platform/errors.ts";
import { routeOf } from "../http/agent-routes.ts";
import type { Service } from "../http/server-deps.ts";

export type Target =
  | { readonly type: "agent"; readonly agent: AgentDefinition }
  | { readonly type: "route"; readonly route: ModelRoute };

const agentPrefix = "agent/";

/** @throws HoldfastError `model_not_found`, `unknown_model_provider`, `model_key_missing` */
export function targetOf({ engine, models }: Service, name: string): Target {
  if (name.startsWith(agentPrefix)) {
    const agent = engine.agents.get(name.slice(agentPrefix.length));
    if (agent !== undefined) return { type: "agent", agent };
  }
  const route = models.routes.get(name);
  if (route !== undefined) return { type: "route", route };
  if (name.startsWith(agentPrefix) || !name.includes("/")) throw notFound(name);
  models.requireModel(name);
  return { type: "route", route: plainRoute([name]) };
}

/** The names that are known beforehand; any other model of a provider may be asked for as well. */
export function targetNames(service: Service): string[] {
  const agents = [...service.engine.agents.values()];
  const named = [...service.models.routes].flatMap(([name, route]) => [name, ...modelsOf(route)]);
  const used = agents.flatMap((agent) => [...routeOf(agent, service)]);
  return [...new Set([...agents.map(({ name }) => `${agentPrefix}${name}`), ...named, ...used])];
}

function notFound(name: string): HoldfastError {
  const rule =
    'Name it "provider/model", "agent/<name>", or as a route of the configuration; GET /v1/models lists them';
  const shown = JSON.stringify(name.slice(0, 100));
  return new HoldfastError("model_not_found", `There is no model ${shown} here. ${rule}.`, { path: "/model" });
}
