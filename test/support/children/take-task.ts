/**
 * A process that takes a task from a queue, stores it, and hangs before it can say so to the queue. Prints a line when it
 * is there.
 *
 * Arguments: the URL of the database, that of Redis, the prefix, the agent, the lease in milliseconds.
 */
import { createHoldfast, defineAgent, defineConfig } from "../../../src/index.ts";
import { readSettings } from "../../../src/platform/settings.ts";
import type { Database } from "../../../src/store/database.ts";
import { openPostgres } from "../../../src/store/postgres.ts";
import { silentLogger } from "../../../src/telemetry/log.ts";
import { scriptedGateway } from "../../../src/testing/scripted-model.ts";

const [url = "", redisUrl = "", prefix = "", agent = "", leaseMs = ""] = process.argv.slice(2);
const server = await openPostgres({ url });
const database: Database = {
  ...server,
  async query(statement) {
    const rows = await server.query(statement);
    if (statement.name !== "submit") return rows as never[];
    console.log("stored");
    return new Promise(() => {});
  },
};
await createHoldfast(defineConfig({ agents: [defineAgent({ name: agent, instructions: "Be of use." })] }), {
  settings: readSettings({ REDIS_URL: redisUrl, REDIS_PREFIX: prefix }),
  parts: { database, gateway: scriptedGateway([]), log: silentLogger },
  tuning: { leaseMs: Number(leaseMs) },
});
