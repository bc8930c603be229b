/**
 * A process that works on deferred tasks until it is killed. Prints "ready", or the id of the task that it was to submit.
 *
 * Arguments: the URL of the database, that of the mock provider, a model, and "submit" or nothing.
 */
import { createHoldfast, defineAgent, defineConfig } from "../../../src/index.ts";
import { readSettings } from "../../../src/platform/settings.ts";
import { silentLogger } from "../../../src/telemetry/log.ts";
import { toolOf } from "../running-holdfast.ts";

const [databaseUrl = "", providerUrl = "", model = "", order = ""] = process.argv.slice(2);
const baseURL = `${providerUrl}/v1`;
const settings = readSettings({
  DATABASE_URL: databaseUrl,
  OPENAI_API_KEY: "test",
  OPENAI_BASE_URL: baseURL,
  ANTHROPIC_API_KEY: "test",
  ANTHROPIC_BASE_URL: baseURL,
});
const find = toolOf("find", "read", () => "there");
const agent = defineAgent({ name: "slow", instructions: "Be of use.", model, tools: ["find"] });
const holdfast = await createHoldfast(defineConfig({ agents: [agent], tools: [find] }), {
  settings,
  parts: { log: silentLogger },
  tuning: { pollMs: 20, leaseMs: 1_000, batches: { everyMs: 20, requestMs: 500 } },
});
const task = order === "submit" ? await holdfast.submit({ prompt: "Find it", deferred: true }) : undefined;
console.log(task?.id ?? "ready");
