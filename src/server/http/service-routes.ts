/** The service itself: is it alive, can it work, what does it measure. */
import type { FastifyInstance } from "fastify";
import type { Readiness } from "../../client/wire.ts";
import { createProviders } from "../../gateway/providers/registry.ts";
import { routeOf } from "./agent-routes.ts";
import { documented } from "./documented.ts";
import { version } from "./openapi.ts";
import { health, readiness, welcome } from "./response-schemas.ts";
import type { ServerDeps } from "./server-deps.ts";

type Check = Readiness["checks"][number];

const storeTimeoutMs = 2_000;

export function serviceRoutes(app: FastifyInstance, deps: ServerDeps): void {
  app.get(
    "/",
    {
      schema: documented({
        tag: "service",
        summary: "Where things are",
        answers: { 200: { description: "Links.", schema: welcome } },
      }),
    },
    async () => ({
      name: "holdfast",
      version,
      links: { api: "/openapi.json", agents: "/agents", tasks: "/tasks", approvals: "/approvals", metrics: "/metrics" },
    }),
  );

  app.get(
    "/health",
    {
      schema: documented({
        tag: "service",
        summary: "Liveness",
        answers: { 200: { description: "It is alive.", schema: health } },
      }),
    },
    async () => ({ status: "ok" }),
  );

  app.get(
    "/ready",
    {
      schema: documented({
        tag: "service",
        summary: "Readiness: the store answers, the worker has its lease, every agent has a model",
        answers: {
          200: { description: "It can work.", schema: readiness },
          503: { description: "It cannot; the checks say why.", schema: readiness },
        },
      }),
    },
    async (_request, reply) => {
      const vital = [await checkStore(deps), ...checkWorker(deps), checkModels(deps)];
      const routes = checkRoutes(deps);
      const works = vital.every(({ ok }) => ok);
      const status = !works ? "not_ready" : routes.ok ? "ready" : "degraded";
      const readiness: Readiness = { status, checks: [...vital, routes] };
      return reply.code(works ? 200 : 503).send(readiness);
    },
  );

  app.get(
    "/metrics",
    {
      schema: documented({
        tag: "service",
        summary: "Metrics in the Prometheus text format",
        answers: { 200: { description: "All metrics.", contentType: "text/plain" } },
      }),
    },
    async (request, reply) => {
      reply.hijack();
      deps.service.metrics.handle(request.raw, reply.raw);
      return reply;
    },
  );
}

async function checkStore({ service: { store }, clock }: ServerDeps): Promise<Check> {
  const answered = new AbortController();
  const late = clock.sleep(storeTimeoutMs, answered.signal).then(
    () => `no answer in ${storeTimeoutMs} ms`,
    () => "",
  );
  const answer = store.database.query({ text: "select 1", values: [] }).then(
    () => "",
    // The cause may name hosts and users: it belongs in the log, not here.
    () => "the database cannot be used",
  );
  const problem = await Promise.race([answer, late]);
  answered.abort();
  return { name: "store", ok: problem === "", detail: problem || "answers" };
}

function checkWorker({ service: { worker } }: ServerDeps): Check[] {
  if (worker === undefined) return [];
  const { leased } = worker;
  return [{ name: "worker", ok: leased, detail: leased ? "holds its lease" : "holds no lease, so it runs nothing" }];
}

/** Whether the settings are there; whether a provider is up is found out by calling it. */
function checkModels({ service }: ServerDeps): Check {
  const providers = createProviders(service.settings.providers);
  const isUsable = (name: string): boolean => {
    try {
      providers.model(name);
      return true;
    } catch {
      return false;
    }
  };
  const without = [...service.engine.agents.values()].filter((agent) => !routeOf(agent, service).some(isUsable));
  const names = without.map(({ name }) => name).join(", ");
  return {
    name: "models",
    ok: without.length === 0,
    detail: names === "" ? "every agent has one" : `no usable model for: ${names}`,
  };
}

/**
 * Whether a model of every agent is thought to answer. Where none does the process takes tasks all the same, and they wait:
 * taken out of the balancing, it would refuse them, and so would all others.
 */
function checkRoutes({ service }: ServerDeps): Check {
  const out = new Set(service.modelStatus().flatMap(({ model, breaker }) => (breaker.state === "open" ? model : [])));
  const agents = [...service.engine.agents.values()];
  const without = agents.filter((agent) => routeOf(agent, service).every((model) => out.has(model)));
  const names = without.map((agent) => `${agent.name} (${routeOf(agent, service).join(", ")})`).join("; ");
  return {
    name: "routes",
    ok: without.length === 0,
    detail: names === "" ? "no agent's models are all out" : `all models are out, and tasks wait: ${names}`,
  };
}
