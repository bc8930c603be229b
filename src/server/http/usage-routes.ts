/** What calls to models used and cost: sums of the ledger, as JSON or as a table for a spreadsheet. */
import type { FastifyInstance } from "fastify";
import type { z } from "zod";
import type { UsageSum } from "../../client/wire.ts";
import { onlyTenant } from "../../engine/tenant.ts";
import type { UsageDimension, UsageSum as StoredSum } from "../../store/queries/usage-report.ts";
import { toCsv, type Cell } from "./csv.ts";
import { documented } from "./documented.ts";
import { fromCursor, toCursor } from "./paging.ts";
import { usageQuery } from "./request-schemas.ts";
import { pageOf, usageSum } from "./response-schemas.ts";
import type { ServerDeps } from "./server-deps.ts";
import { dollars } from "./wire-values.ts";

type Query = z.infer<typeof usageQuery>;

export function usageRoutes(app: FastifyInstance, { service: { store }, lateLedger }: ServerDeps): void {
  app.get<{ Querystring: Query }>(
    "/usage",
    {
      schema: documented({
        tag: "usage",
        summary: "What calls to models used and cost, by agent, session, user, model, day, key or purpose",
        query: usageQuery,
        answers: {
          200: {
            description: "A page, the dearest first; of CSV the `Link` header names the next one.",
            schema: pageOf(usageSum),
            textType: "text/csv",
          },
        },
      }),
    },
    async ({ query, headers: { accept } }, reply) => {
      const { limit } = query;
      const by = [...new Set((query.by?.split(",") ?? []) as UsageDimension[])];
      const offset = Number(fromCursor("usage", query.cursor) ?? 0);
      await lateLedger.written();
      const rows = await store.usage({
        tenant: onlyTenant,
        by,
        from: timeOf(query.from),
        to: timeOf(query.to),
        agent: query.agent,
        sessionId: query.session_id,
        userId: query.user_id,
        model: query.model,
        purpose: query.purpose,
        limit: limit + 1,
        offset,
      });
      const items = rows.slice(0, limit).map(toWireSum);
      const next = rows.length > limit ? toCursor("usage", offset + limit) : null;
      reply.header("vary", "accept");
      if ((query.format ?? preferred(accept)) === "json") return { items, next_cursor: next };
      if (next !== null) reply.header("link", `<${nextUrl(query, next)}>; rel="next"`);
      const titles = [...by.map((dimension) => names[dimension]), ...numbers];
      const lines = items.map((item) => titles.map((title): Cell => item[title] ?? null));
      return reply.type("text/csv; charset=utf-8").send(toCsv(titles, lines));
    },
  );
}

const names = {
  agent: "agent",
  session: "session_id",
  user: "user_id",
  model: "model",
  day: "day",
  key: "key_id",
  purpose: "purpose",
} as const satisfies Record<UsageDimension, keyof UsageSum>;

const numbers = [
  "calls",
  "failed_calls",
  "estimated_calls",
  "unpriced_calls",
  "input_tokens",
  "cached_tokens",
  "output_tokens",
  "reasoning_tokens",
  "cost_usd",
] as const satisfies (keyof UsageSum)[];

function toWireSum(row: StoredSum): UsageSum {
  const { agent, session, user, model, day, key, purpose } = row;
  return {
    ...(agent !== undefined && { agent }),
    ...(session !== undefined && { session_id: session }),
    ...(user !== undefined && { user_id: user }),
    ...(model !== undefined && { model }),
    ...(day !== undefined && { day }),
    ...(key !== undefined && { key_id: key }),
    ...(purpose !== undefined && { purpose }),
    calls: row.calls,
    failed_calls: row.failed,
    estimated_calls: row.estimated,
    unpriced_calls: row.unpriced,
    input_tokens: row.input,
    cached_tokens: row.cached,
    output_tokens: row.output,
    reasoning_tokens: row.reasoning,
    cost_usd: dollars(row.costMicros),
  };
}

/** A day alone is its beginning in UTC. */
function timeOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Date.parse(text);
}

/** Whichever of the two comes first counts; a browser or a program that names neither gets JSON. */
function preferred(accept = ""): "json" | "csv" {
  const csv = accept.indexOf("text/csv");
  const json = accept.indexOf("application/json");
  return csv >= 0 && (json < 0 || csv < json) ? "csv" : "json";
}

function nextUrl(query: Query, cursor: string): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...query, format: "csv", cursor })) parameters.set(name, String(value));
  return `/usage?${parameters.toString()}`;
}
