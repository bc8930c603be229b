/**
 * A game day and a drill on a whole Holdfast, as an operator has them: real provider packages, a provider that is well, the
 * HTTP API and the command.
 */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { after, afterEach, describe, test } from "node:test";
import { defineAgent } from "../../src/agent/definition.ts";
import { createClient, type Client, type ModelEntry } from "../../src/client/index.ts";
import { createHoldfast, type Holdfast } from "../../src/holdfast.ts";
import { readSettings } from "../../src/platform/settings.ts";
import { createHttpServer, type HttpServer } from "../../src/server/http/server.ts";
import { openPglite } from "../../src/store/pglite.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { startMockProvider, type MockProvider, type MockStep } from "../../src/testing/mock-provider.ts";
import { makeProject, runCommand, type Ended } from "../support/command.ts";
import { migratedSnapshot } from "../support/databases.ts";

const usage = { input: 1_000, output: 100 };
const well = (): MockStep => ({ text: "All is well.", chunkChars: 4, usage });

interface Deployment {
  readonly client: Client;
  readonly holdfast: Holdfast;
  readonly provider: MockProvider;
  readonly command: (...args: string[]) => Promise<Ended>;
  /** The model turns of a task that asks something. */
  readonly ask: () => Promise<readonly ModelEntry[]>;
  readonly metrics: () => Promise<string>;
}

const project = makeProject();
after(() => rmSync(project, { recursive: true }));

let opened: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of opened.toReversed()) await close();
  opened = [];
});

async function deploy({ random = (): number => 0 } = {}): Promise<Deployment> {
  const provider = await startMockProvider({ script: well });
  opened.push(() => provider.close());
  const environment = {
    HOLDFAST_GAME_DAY: "on",
    OPENAI_API_KEY: "test",
    OPENAI_BASE_URL: `${provider.url}/v1`,
    ANTHROPIC_API_KEY: "test",
    ANTHROPIC_BASE_URL: `${provider.url}/v1`,
  };
  const agent = defineAgent({
    name: "support",
    instructions: "Help.",
    model: ["openai/gpt-5-mini", "anthropic/claude-sonnet-4-6"],
  });
  const database = await openPglite({ dataDir: "memory", snapshot: await migratedSnapshot() });
  const parts = { database, random, log: silentLogger };
  const holdfast = await createHoldfast({ agents: [agent] }, { settings: readSettings(environment), parts });
  opened.push(() => holdfast.stop());
  const server: HttpServer = createHttpServer(holdfast);
  opened.push(() => server.close());
  const url = await server.listen({ host: "127.0.0.1", port: 0 });
  const client = createClient({ baseUrl: url });
  return {
    client,
    holdfast,
    provider,
    command: (...args) => runCommand(args, { cwd: project, env: { HOLDFAST_URL: url } }),
    async ask() {
      const result = await client.run({ prompt: "How is it?" });
      assert.equal(result.status, "completed", JSON.stringify(result));
      const { items } = await client.journal(result.task_id);
      return items.filter((entry) => entry.kind === "model");
    },
    metrics: async () => (await fetch(`${url}/metrics`)).text(),
  };
}

describe("On a game day", () => {
  test("calls fall over as in an outage; what was injected is marked, counted and not asked of the provider", async () => {
    const { client, ask, provider, metrics, command } = await deploy();
    await client.injectFaults({ faults: [{ model: "openai/*", kind: "error", error: "model_auth" }] });
    const [turn] = await ask();
    assert.equal(turn?.model, "anthropic/claude-sonnet-4-6");
    assert.deepEqual(
      turn.attempts.map(({ model, code, injected }) => [model, code, injected]),
      [["openai/gpt-5-mini", "model_auth", "error"]],
    );
    assert.deepEqual(
      provider.requests.map(({ format }) => format),
      ["anthropic"],
    );
    assert.match(
      await metrics(),
      /holdfast_model_faults_injected_total\{.*model="openai\/gpt-5-mini".*kind="error".*\} 1/,
    );
    const { items } = await client.tasks();
    const { stdout } = await command("task", items[0]?.task_id ?? "");
    assert.match(stdout, /Injected error: 401/);
    await client.endFaults();
    const [after] = await ask();
    assert.deepEqual([after?.model, after?.attempts], ["openai/gpt-5-mini", []]);
  });

  test("a reply that is cut restarts on the fallback, and both are in the ledger", async () => {
    const { client, ask } = await deploy();
    await client.injectFaults({ faults: [{ model: "openai/*", kind: "cut", after: 2 }], for_ms: 60_000 });
    const [turn] = await ask();
    assert.equal(turn?.model, "anthropic/claude-sonnet-4-6");
    const [attempt] = turn.attempts;
    assert.match(attempt?.message ?? "", /^Injected cut/);
    assert.ok((attempt?.cost_usd ?? 0) > 0);
    const { items } = await client.usage({ by: ["model"] });
    const paid = new Set(items.map(({ model }) => model));
    assert.deepEqual(paid, new Set(["anthropic/claude-sonnet-4-6", "openai/gpt-5-mini"]));
  });

  test("every process takes part, and forgets it by itself", async () => {
    const { client, holdfast } = await deploy();
    // As another process would order it.
    const value = { faults: [{ model: "*", kind: "hang", forMs: 60_000 }] };
    await holdfast.store.orderExperiment({ kind: "faults", value, leftMs: 60_000 });
    await holdfast.experiments.end("drill");
    const { items } = await client.faults();
    assert.deepEqual(
      items.map(({ kind, model }) => [kind, model]),
      [["hang", "*"]],
    );
    await holdfast.store.orderExperiment({ kind: "faults", value, leftMs: 1 });
    await holdfast.experiments.end("drill");
    await new Promise((resolve) => setImmediate(resolve));
    while ((await client.faults()).items.length > 0);
  });
});

describe("In a drill", () => {
  test("the fallback answers its share, and the command shows both paths side by side", async () => {
    const lots = [0.05, 0.5, 0.09, 0.9];
    let asked = 0;
    const { ask, command, provider } = await deploy({ random: () => lots[asked] ?? 0.99 });
    const started = await command("drill", "--share", "10%", "--for", "30m");
    assert.equal(started.exitCode, 0, started.stderr);
    assert.match(started.stderr, /sends 10 % of the calls to the fallback, for another (29 m 5\d s|30 m 00 s)/);
    const models: string[] = [];
    for (; asked < lots.length; asked++) {
      for (const { model, choice } of await ask()) {
        models.push(model);
        assert.equal(choice?.strategy, model.startsWith("anthropic") ? "drill" : "fixed");
      }
    }
    const [first, second] = ["anthropic/claude-sonnet-4-6", "openai/gpt-5-mini"];
    assert.deepEqual(models, [first, second, first, second]);
    assert.equal(provider.requests.length, 4, "a drill asks nobody twice");
    const { stdout } = await command("drill");
    // gpt-5-mini: $0.25 and $2 a million tokens; claude-sonnet-4-6: $3 and $15.
    assert.match(stdout, /primary +openai\/gpt-5-mini +2 +100 % .*\$0\.0009 +\$0\.0004\n/);
    assert.match(stdout, /fallback +anthropic\/claude-sonnet-4-6 +2 +100 % .*\$0\.0090 +\$0\.0045\n/);
    const stopped = await command("drill", "--stop", "--json");
    assert.equal((JSON.parse(stopped.stdout) as { share: number }).share, 0);
  });

  test("the command refuses what makes no sense", async () => {
    const { command } = await deploy();
    const wrong = [
      ["--for", "5m"],
      ["--share", "10%", "--stop"],
      ["--share", "11"],
      ["--share", "5%", "--for", "3d"],
    ];
    for (const args of wrong) assert.equal((await command("drill", ...args)).exitCode, 2, args.join(" "));
  });
});
