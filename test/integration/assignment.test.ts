/** Tasks that name no agent, over HTTP: who gets them, what the journal and the ledger say, who is refused. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createClient, type AssignmentEntry } from "../../src/client/index.ts";
import type { AssignmentOptions } from "../../src/engine/assignment/assignment-rules.ts";
import { defineAgent, type HoldfastConfig } from "../../src/index.ts";
import { renderEntry } from "../../src/cli/timeline.ts";
import type { MockScript } from "../../src/testing/mock-provider.ts";
import { startGateway } from "../support/gateway-service.ts";

const model = "compatible/llama";
const agents = [
  defineAgent({ name: "support", description: "Orders and shipments.", instructions: "Help with orders.", model }),
  defineAgent({ name: "billing", description: "Invoices and VAT.", instructions: "Explain invoices.", model }),
];

/** Vectors by what a text is about; and the same words from every model. */
const script: MockScript = ({ path, body }) => {
  if (!path.endsWith("/embeddings")) return { text: "Done." };
  const texts = [body["input"]].flat() as string[];
  const data = texts.map((text, index) => ({ object: "embedding", index, embedding: vectorOf(text) }));
  const usage = { prompt_tokens: 10 * texts.length, total_tokens: 10 * texts.length };
  return { fault: "raw", body: JSON.stringify({ object: "list", data, model: "m", usage }) };
};
const vectorOf = (text: string): number[] => (/order|shoes/i.test(text) ? [1, 0] : [0, 1]);

async function open(assignment: HoldfastConfig["assignment"], answers: MockScript = script) {
  const config = { agents, ...(assignment !== undefined && { assignment }) };
  const gateway = await startGateway({ script: answers, config });
  const client = createClient({ baseUrl: gateway.url });
  const assigned = async (taskId: string): Promise<AssignmentEntry> => {
    const [entry] = (await client.journal(taskId)).items;
    assert.equal(entry?.kind, "assignment");
    return entry as AssignmentEntry;
  };
  const countTasks = async (): Promise<number> => (await client.tasks()).items.length;
  return { gateway, client, assigned, countTasks, [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose]() };
}

const embeddings: AssignmentOptions = { embeddings: "openai/text-embedding-3-small" };

describe("A task that names no agent", () => {
  test("is run by the one that fits by meaning; journal, timeline and ledger tell how it came to it", async () => {
    await using at = await open(embeddings);
    const result = await at.client.run({ prompt: "My shoes never came." });
    assert.deepEqual([result.status, (await at.client.task(result.task_id)).agent], ["completed", "support"]);
    const entry = await at.assigned(result.task_id);
    assert.deepEqual([entry.method, entry.usage!.input > 0], ["embeddings", true]);
    assert.deepEqual(entry.scores, [
      { agent: "support", score: 1 },
      { agent: "billing", score: 0 },
    ]);
    const [story = ""] = renderEntry({ ...entry, seq: 1, at: "2026-01-01T00:00:00Z" }, 0, {
      paint: (_format, text) => text,
      width: undefined,
    });
    assert.match(
      story,
      /assigned to support by meaning, openai\/text-embedding-3-small, .*it fits best: support has 1/,
    );
    const usage = (await (await fetch(`${at.gateway.url}/usage?by=agent,model`)).json()) as {
      items: { agent: string | null; model: string; input_tokens: number }[];
    };
    const embedded = usage.items.filter((sum) => sum.model.startsWith("openai/"));
    // Prompt and agents went together: of the tokens, which come as one number, each has its share.
    const shares = new Map(embedded.map(({ agent, input_tokens: tokens }) => [agent, tokens]));
    assert.equal(shares.get("support"), entry.usage?.input);
    assert.equal(shares.get("support")! + shares.get(null)!, 30);
  });

  test("is run by the one that fits by words while the embedding model is out", async () => {
    const out: MockScript = (request) =>
      request.path.endsWith("/embeddings") ? { fault: "status", status: 400 } : { text: "Done." };
    await using at = await open(embeddings, out);
    const { task_id: taskId } = await at.client.run({ prompt: "Where is order 7?" });
    const { agent, method, reason, usage } = await at.assigned(taskId);
    assert.deepEqual([agent, method, usage], ["support", "words", undefined]);
    assert.match(reason, /compared by words, as openai\/text-embedding-3-small could not be asked/);
  });

  test("that is repeated with its key is the same task, and nobody is asked again", async () => {
    await using at = await open(embeddings);
    const submit = () => at.client.submit({ prompt: "My shoes never came." }, { idempotencyKey: "k1" });
    const first = await submit();
    const calls = (): number => at.gateway.provider.requests.filter(({ path }) => path.endsWith("/embeddings")).length;
    const asked = calls();
    assert.equal((await submit()).task_id, first.task_id);
    assert.deepEqual([calls(), await at.countTasks()], [asked, 1]);
    const other = { prompt: "Another." };
    await assert.rejects(at.client.submit(other, { idempotencyKey: "k1" }), { code: "idempotency_key_reused" });
  });

  test("of a session goes on with its agent, whatever it says", async () => {
    await using at = await open(true);
    const first = await at.client.run({ prompt: "Explain this invoice.", session_id: "s" });
    const second = await at.client.run({ prompt: "And my order?", session_id: "s" });
    assert.equal((await at.assigned(first.task_id)).method, "words");
    const { agent, method, scores } = await at.assigned(second.task_id);
    assert.deepEqual([agent, method, scores], ["billing", "session", []]);
  });

  test("and fits nobody is refused with the scores, and nothing is stored; in a batch it alone is", async () => {
    await using at = await open(true);
    const response = await at.gateway.post("/tasks", { prompt: "Sing a song." });
    const problem = (await response.json()) as Record<string, unknown>;
    assert.deepEqual([response.status, problem["code"], problem["path"]], [400, "no_agent_fits", "/agent"]);
    assert.deepEqual(problem["candidates"], [
      { agent: "support", score: 0 },
      { agent: "billing", score: 0 },
    ]);
    assert.equal(await at.countTasks(), 0);
    const batch = await at.gateway.post("/tasks/batch", { tasks: [{ prompt: "Sing." }, { prompt: "My order 7" }] });
    const { items } = (await batch.json()) as { items: { problem?: { code: string }; task?: object }[] };
    assert.deepEqual([items[0]?.problem?.code, items[1]?.task !== undefined], ["no_agent_fits", true]);
  });

  test("and fits nobody is that of the agent for all else, where there is one", async () => {
    await using at = await open({ otherwise: "billing" });
    const { task_id: taskId } = await at.client.run({ prompt: "Sing a song." });
    const { agent, method } = await at.assigned(taskId);
    assert.deepEqual([agent, method], ["billing", "otherwise"]);
  });

  test("must name one where nothing else is said; one that names its agent has no such entry", async () => {
    await using at = await open(undefined);
    await assert.rejects(at.client.submit({ prompt: "Where is order 7?" }), { code: "agent_required" });
    await using on = await open(true);
    const { task_id: taskId } = await on.client.run({ prompt: "Where is order 7?", agent: "billing" });
    assert.equal((await on.client.journal(taskId)).items[0]?.kind, "model");
  });

  test("has a fork that is charged for no choice of its own", async () => {
    await using at = await open(embeddings);
    const { task_id: taskId } = await at.client.run({ prompt: "My shoes never came." });
    const fork = await at.client.fork(taskId, { step: 0 });
    await at.gateway.holdfast.task(fork.task_id).result();
    const kinds = (await at.client.journal(fork.task_id)).items.map(({ kind }) => kind);
    assert.deepEqual(kinds, ["model", "end"]);
  });
});
