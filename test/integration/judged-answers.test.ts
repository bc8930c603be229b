/** A judge of a small model's answers in a whole Holdfast, with the real provider packages over HTTP. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ModelEntry } from "../../src/client/wire.ts";
import { createClient } from "../../src/client/index.ts";
import { defineAgent } from "../../src/index.ts";
import type { MockScript, MockStep } from "../../src/testing/mock-provider.ts";
import { startGateway, type GatewayService } from "../support/gateway-service.ts";

const agent = defineAgent({
  name: "helper",
  instructions: "Answer in one word.",
  model: {
    strategy: "small_first",
    candidates: ["compatible/small", "openai/gpt-4o"],
    judge: { model: "anthropic/claude-sonnet-4-6", criteria: ["The answer is one word."] },
  },
});

const usage = { input: 1_000, output: 100 };
const verdict = (met: boolean): MockStep => ({
  text: JSON.stringify({ verdicts: [{ number: 1, reason: "It is counted.", met }] }),
  usage,
});

async function ask(by: Readonly<Record<string, MockStep>>) {
  const script: MockScript = ({ model }) => by[model] ?? { fault: "status", status: 500 };
  await using gateway = await startGateway({ script, config: { agents: [agent], gateway: { attempts: 1 } } });
  const client = createClient({ baseUrl: gateway.url });
  const result = await client.run({ prompt: "Yes or no?" });
  const [entry] = (await client.journal(result.task_id)).items;
  return { result, turn: entry as ModelEntry, ledger: await ledgerOf(gateway), asked: gateway.provider.requests };
}

async function ledgerOf({ url }: GatewayService): Promise<Record<string, unknown[]>> {
  const { items } = (await (await fetch(`${url}/usage?by=model`)).json()) as { items: Record<string, unknown>[] };
  return Object.fromEntries(
    items.map((sum) => [String(sum["model"]), [sum["calls"], sum["failed_calls"], sum["cost_usd"]]]),
  );
}

const small: MockStep = { text: "Well, yes", usage };

test("what a judge finds good is the answer; its verdict and its price are in the journal and the ledger", async () => {
  const { result, turn, ledger, asked } = await ask({ small, "claude-sonnet-4-6": verdict(true) });
  assert.deepEqual([result.output, turn.model], ["Well, yes", "compatible/small"]);
  const [{ code, message, cost_usd: cost } = assert.fail()] = turn.attempts;
  assert.deepEqual([code, message, cost], ["model_judged", "1 of 1 criteria are met.", 0.0045]);
  assert.match(turn.choice?.reason ?? "", /; anthropic\/claude-sonnet-4-6: 1 of 1 criteria are met$/);
  assert.deepEqual(ledger["anthropic/claude-sonnet-4-6"], [1, 0, 0.0045], "the judge has answered");
  assert.equal(result.tokens_used, 2_200, "its tokens count as those of any call");
  const shown = JSON.stringify(asked[1]?.body);
  for (const part of ["Yes or no?", "Well, yes", "Answer in one word.", "The answer is one word."]) {
    assert.ok(shown.includes(part), part);
  }
});

test("what it finds wanting is answered by the larger model", async () => {
  const large: MockStep = { text: "Yes", usage };
  const { result, turn, ledger } = await ask({ small, "claude-sonnet-4-6": verdict(false), "gpt-4o": large });
  assert.deepEqual([result.output, turn.model], ["Yes", "openai/gpt-4o"]);
  assert.deepEqual(
    turn.attempts.map(({ model, code }) => `${model} ${code}`),
    ["anthropic/claude-sonnet-4-6 model_judged", "compatible/small model_escalated"],
  );
  assert.deepEqual(
    [ledger["compatible/small"]?.slice(0, 2), ledger["openai/gpt-4o"]],
    [
      [1, 1],
      [1, 0, 0.0035],
    ],
  );
});

test("it serves all the same while the larger model is out, and is charged for once", async () => {
  const { result, turn, ledger } = await ask({ small, "claude-sonnet-4-6": verdict(false) });
  assert.deepEqual([result.status, result.output, turn.model], ["completed", "Well, yes", "compatible/small"]);
  assert.match(turn.choice?.reason ?? "", /no larger one answered: its answer is used$/);
  assert.deepEqual(ledger["compatible/small"]?.slice(0, 2), [1, 0]);
});
