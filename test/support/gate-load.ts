/** Four processes that want more of a provider than it allows, and what comes of it. */
import { openPostgres } from "../../src/store/postgres.ts";
import { migrate } from "../../src/store/migrate.ts";
import type { ModelLimits } from "../../src/gateway/gate/model-limits.ts";
import { startChild, type Child } from "./child.ts";
import { createServerDatabase } from "./databases.ts";
import { startLimitedProvider, useOfWindows, type WindowUse } from "./limited-provider.ts";
import type { GateClient } from "./children/gate-client.ts";

export interface GateLoad {
  /** The same figures as for a minute, in less. */
  readonly windowMs: number;
  readonly deliveryMs: number;
  readonly limits: ModelLimits;
  /** The provider tells its limits in headers. */
  readonly headers: boolean;
  /** How many windows are not looked at, as the fleet adapts, and how many are. */
  readonly adaptWindows: number;
  readonly windows: number;
}

const processes = 4;
const allowed = { requests: 600, tokens: 60_000 };

/** @returns undefined where there is no PostgreSQL server */
export async function runGateLoad(load: GateLoad): Promise<WindowUse | undefined> {
  const { windowMs, deliveryMs, limits, headers } = load;
  const server = await createServerDatabase();
  if (server === undefined) return undefined;
  const database = await openPostgres({ url: server.url });
  await migrate(database);
  await database.close();
  const provided = { ...allowed, windowMs };
  const clients: Child[] = [];
  try {
    await using provider = await startLimitedProvider({ ...provided, headers, latencyMs: 50 });
    const client: GateClient = {
      databaseUrl: server.url,
      providerUrl: provider.url,
      windowMs,
      deliveryMs,
      limits,
      concurrency: 50,
      tokensPerCall: allowed.tokens / allowed.requests,
    };
    for (let number = 0; number < processes; number++) clients.push(startChild("gate-client", JSON.stringify(client)));
    await Promise.all(clients.map((process) => process.line()));
    const from = performance.now() + load.adaptWindows * windowMs;
    const to = from + load.windows * windowMs;
    await new Promise((over) => setTimeout(over, to - performance.now()));
    for (const process of clients) process.signal("SIGTERM");
    await Promise.all(clients.map((process) => process.done()));
    const begin = load.adaptWindows === 0 ? (provider.arrivals[0]?.at ?? from) : from;
    return useOfWindows(provider.arrivals, provided, { from: begin, to });
  } finally {
    await Promise.all(clients.map((process) => process.kill()));
    await server.drop();
  }
}
