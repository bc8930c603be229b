/** What runs here. */
import type { FastifyInstance } from "fastify";
import type { z } from "zod";
import type { AgentDefinition } from "../../agent/definition.ts";
import { modelsOf } from "../../agent/route.ts";
import type { Agent, AgentDetail } from "../../client/wire.ts";
import { NotFoundError } from "../../platform/errors.ts";
import { createToolCatalogue, type ToolCatalogue } from "../../tools/catalogue.ts";
import type { Tool } from "../../tools/define-tool.ts";
import { documented } from "./documented.ts";
import { agentParams } from "./request-schemas.ts";
import { agent, agentDetail, pageOf } from "./response-schemas.ts";
import type { ServerDeps, Service } from "./server-deps.ts";
import { dollars } from "./wire-values.ts";

export function agentRoutes(app: FastifyInstance, { service }: ServerDeps): void {
  const { agents } = service.engine;
  const catalogue = createToolCatalogue((service.config.tools ?? []) as readonly Tool[]);

  app.get(
    "/agents",
    {
      schema: documented({
        tag: "agents",
        summary: "List the agents",
        answers: { 200: { description: "All of them.", schema: pageOf(agent) } },
      }),
    },
    async () => ({ items: [...agents.values()].map((each) => toWireAgent(each, service)), next_cursor: null }),
  );

  app.get<{ Params: z.infer<typeof agentParams> }>(
    "/agents/:name",
    {
      schema: documented({
        tag: "agents",
        summary: "An agent with its instructions and the schemas of its tools",
        params: agentParams,
        answers: { 200: { description: "The agent.", schema: agentDetail } },
        problems: [404],
      }),
    },
    async ({ params: { name } }) => {
      const found = agents.get(name);
      if (found === undefined)
        throw new NotFoundError("agent_not_found", `There is no agent ${JSON.stringify(name)} here.`);
      return toWireDetail(found, service, catalogue);
    },
  );
}

/** The candidates that an agent's model calls try, in order. */
export function routeOf({ model }: AgentDefinition, { settings }: Pick<Service, "settings">): readonly string[] {
  if (model.candidates.length > 0) return modelsOf(model);
  return settings.defaultRoute.length > 0 ? settings.defaultRoute : ["rules/default"];
}

function toWireAgent(definition: AgentDefinition, service: Service): Agent {
  const { name, version, description, tools, limits } = definition;
  return {
    name,
    version,
    description,
    model: [...routeOf(definition, service)],
    tools: [...tools],
    limits: {
      max_steps: limits.maxSteps,
      tokens: limits.tokens,
      cost_usd: dollars(limits.costMicros),
      deadline_ms: limits.deadlineMs,
      on_limit: limits.onLimit,
    },
  };
}

function toWireDetail(definition: AgentDefinition, service: Service, catalogue: ToolCatalogue): AgentDetail {
  return {
    ...toWireAgent(definition, service),
    instructions: definition.instructions,
    tools: definition.tools.map((reference) => {
      const { name, version, description, effect, input, output } = catalogue.resolve(reference);
      return { name, version, description, effect, parameters: input.jsonSchema, returns: output?.jsonSchema ?? null };
    }),
  };
}
