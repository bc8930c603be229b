/** A process that only runs tasks can be asked how it is, and for nothing else. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { startHost } from "../../src/cli/host.ts";
import { defineAgent, defineConfig } from "../../src/index.ts";
import { readSettings } from "../../src/platform/settings.ts";
import { createServerDatabase } from "../support/databases.ts";
import { until } from "../support/running-holdfast.ts";

const server = await createServerDatabase();
after(() => server?.drop());

test(
  "a worker with a port tells its health, readiness and metrics, and takes no tasks",
  { skip: server === undefined && "there is no server" },
  async () => {
    const settings = readSettings({ DATABASE_URL: server!.url, PORT: "0", HOLDFAST_LOG_LEVEL: "error" });
    const config = defineConfig({ agents: [defineAgent({ name: "helper", instructions: "Help." })] });
    const host = await startHost(config, { settings, roles: ["worker"], showsHealth: true });
    const status = async (path: string): Promise<number> => (await fetch(`${host.url}${path}`)).status;
    try {
      assert.deepEqual([await status("/health"), await status("/metrics"), await status("/tasks")], [200, 200, 404]);
      await until(async () => (await status("/ready")) === 200);
    } finally {
      await host.stop();
    }
    const quiet = await startHost(config, { settings, roles: ["worker"] });
    await quiet.stop();
    assert.equal(quiet.url, null);
  },
);
