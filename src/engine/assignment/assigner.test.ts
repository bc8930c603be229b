import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { defineAgent } from "../../agent/definition.ts";
import type { EmbeddingGateway } from "../../gateway/embeddings/embedding-gateway.ts";
import { InvalidInputError } from "../../platform/errors.ts";
import type { UsageRow } from "../../store/queries/usage.ts";
import { createVirtualClock } from "../../testing/virtual-clock.ts";
import { createPrices } from "../../gateway/cost.ts";
import { assignmentRules, type AssignmentOptions } from "./assignment-rules.ts";
import { createAssigner, NoAgentFitsError, pick } from "./assigner.ts";
import { cosine } from "./vector-scores.ts";

const model = "openai/text-embedding-3-small";
const tenant = "default";

/** Texts point where their first of these words is; others nowhere in particular. */
const directions: Readonly<Record<string, readonly number[]>> = {
  orders: [1, 0, 0],
  invoices: [0, 1, 0],
  parcel: [0.9, 0.1, 0],
  either: [0.7, 0.7, 0],
  sea: [0, 0, 1],
};

interface Given {
  readonly assignment?: boolean | AssignmentOptions;
  /** What the embedding model does instead of answering. */
  readonly embed?: EmbeddingGateway["embed"];
  readonly sessions?: Readonly<Record<string, string>>;
  readonly hosted?: () => Promise<readonly (readonly string[] | null)[]>;
}

function open({ assignment = { embeddings: model }, embed, sessions = {}, hosted }: Given = {}) {
  const clock = createVirtualClock();
  const asked: (readonly string[])[] = [];
  const recorded: UsageRow[] = [];
  const counted: string[] = [];
  const agents = new Map(
    ["orders", "invoices"].map((name) => [
      name,
      defineAgent({ name: `${name.slice(0, -1)}-desk`, description: `All about ${name}.`, instructions: "Be of use." }),
    ]),
  );
  const named = new Map([...agents.values()].map((agent) => [agent.name, agent]));
  const answer: EmbeddingGateway["embed"] = async ({ texts }) => {
    const vectors = texts.map((text) => {
      const word = Object.keys(directions).find((each) => text.includes(each));
      return word === undefined ? [0.1, 0.1, 1] : directions[word]!;
    });
    const usage = { input: texts.length * 100, cached: 0, output: 0, reasoning: 0, estimated: false };
    return { vectors, usage, attempts: [] };
  };
  const assigner = createAssigner({
    rules: assignmentRules({ assignment, agents: [...named.values()] })!,
    agents: named,
    tools: { specs: () => [] },
    embeddings: {
      embed: (request) => {
        asked.push(request.texts);
        return (embed ?? answer)(request);
      },
    },
    prices: createPrices(),
    store: {
      agentOfSession: async (of, session) => sessions[`${of} ${session}`],
      hostedAgents: hosted ?? (async () => [["order-desk", "invoice-desk"]]),
      recordUsage: async (rows) => void recorded.push(...rows),
    },
    clock,
    newId: () => "row",
    log: { warn() {} },
    metrics: { taskAssigned: (method) => void counted.push(method) },
  });
  const assign = (prompt: string, sessionId?: string) => assigner.assign({ tenant, prompt, sessionId });
  return { assign, clock, asked, recorded, counted };
}

describe("A task that names no agent", () => {
  test("is given to the agent whose meaning is nearest, and it is told why and what that took", async () => {
    const { assign, counted } = open();
    const { agent, method, reason, scores, usage, costMicros } = await assign("My parcel!");
    assert.deepEqual([agent, method], ["order-desk", "embeddings"]);
    assert.deepEqual(scores, [
      { agent: "order-desk", score: 0.994 },
      { agent: "invoice-desk", score: 0.11 },
    ]);
    assert.equal(reason, "it fits best: order-desk has 0.994, invoice-desk 0.11");
    assert.deepEqual([usage?.input, costMicros], [100, 2]);
    assert.deepEqual(counted, ["embeddings"]);
  });

  test("asks for the agents' vectors once, which are in the ledger as nobody's", async () => {
    const { assign, asked, recorded } = open();
    await Promise.all([assign("My parcel!"), assign("My invoices!")]);
    await assign("My orders!");
    assert.equal(asked.filter((texts) => texts.length > 1).length, 1);
    assert.equal(asked.length, 4);
    assert.deepEqual(
      recorded.map((row) => [row.model, row.tenant, row.agent, row.usage.input, row.costMicros]),
      [[model, tenant, null, 200, 4]],
    );
  });

  for (const [what, prompt, why] of [
    ["that fits nobody", "The sea.", /nobody fits well enough: .* has 0, of 0.2/],
    ["that fits two equally well", "This or either?", /several fit equally well: .* 0.707/],
  ] as const) {
    test(`${what} is refused with all the scores`, async () => {
      const { assign, recorded, counted } = open();
      const error = await assign(prompt).catch((thrown: unknown) => thrown);
      assert.ok(error instanceof NoAgentFitsError && error instanceof InvalidInputError);
      assert.deepEqual([error.code, error.path, error.candidates.length], ["no_agent_fits", "/agent", 2]);
      assert.match(error.message, why);
      assert.deepEqual(counted, ["refused"]);
      assert.equal(recorded.length, 2, "it is paid for all the same");
    });

    test(`${what} is that of the agent for all else, where there is one`, async () => {
      const { assign } = open({ assignment: { embeddings: model, otherwise: "invoice-desk" } });
      const { agent, method, reason, scores } = await assign(prompt);
      assert.deepEqual([agent, method, scores.length], ["invoice-desk", "otherwise", 2]);
      assert.match(reason, why);
    });
  }

  test("goes on with the agent of its session, whatever it says; another tenant's session is none", async () => {
    const { assign, asked } = open({ sessions: { "default s1": "invoice-desk", "other s2": "invoice-desk" } });
    const { agent, method, scores } = await assign("My parcel!", "s1");
    assert.deepEqual([agent, method, scores, asked], ["invoice-desk", "session", [], []]);
    assert.equal((await assign("My parcel!", "s2")).agent, "order-desk");
  });

  test("is not given to an agent that no worker runs; where none is known it may be any", async () => {
    const only = open({ hosted: async () => [["invoice-desk"]] });
    const { agent, scores } = await only.assign("This or either?");
    assert.deepEqual([agent, scores.length], ["invoice-desk", 1]);
    for (const hosted of [async () => [], async () => [null], () => Promise.reject(new Error("away"))]) {
      assert.equal((await open({ hosted }).assign("My parcel!")).agent, "order-desk");
    }
  });

  test("counts on an agent for a while after its worker was last seen", async () => {
    let workers: string[][] = [["order-desk"], ["invoice-desk"]];
    const { assign, clock } = open({ hosted: async () => workers });
    await assign("My parcel!");
    workers = [["invoice-desk"]];
    await clock.advance(60_000);
    assert.equal((await assign("My parcel!")).agent, "order-desk");
    await clock.advance(700_000);
    const error = await assign("My parcel!").catch((thrown: unknown) => thrown);
    assert.ok(error instanceof NoAgentFitsError, "the one that is left does not fit");
  });
});

describe("An embedding model that cannot be asked", () => {
  test("is stood in for by words, which is told; and is left alone for a while", async () => {
    const { assign, asked, clock } = open({ embed: () => Promise.reject(new Error("no connection")) });
    const { agent, method, reason, usage } = await assign("Where are my orders?");
    assert.deepEqual([agent, method, usage], ["order-desk", "words", undefined]);
    assert.match(reason, /; compared by words, as openai\/text-embedding-3-small could not be asked: no connection$/);
    const calls = asked.length;
    assert.equal((await assign("All my invoices")).method, "words");
    assert.equal(asked.length, calls);
    await clock.advance(15_000);
    await assign("All my invoices");
    assert.ok(asked.length > calls, "it may be back");
  });

  test("is waited for 3 seconds", async () => {
    const embed: EmbeddingGateway["embed"] = ({ signal }) =>
      new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    const { assign, clock } = open({ embed });
    const assigned = assign("Where are my orders?");
    await clock.advance(3_000);
    const { agent, reason } = await assigned;
    assert.equal(agent, "order-desk");
    assert.match(reason, /no answer within 3000 ms/);
  });

  test("or gives too few vectors, or empty ones, is one that cannot be asked", async () => {
    const usage = { input: 1, cached: 0, output: 0, reasoning: 0, estimated: false };
    for (const vectors of [[], [[], []]]) {
      const { assign } = open({ embed: async () => ({ vectors, usage, attempts: [] }) });
      assert.equal((await assign("Where are my orders?")).method, "words");
    }
  });
});

test("a choice needs a score above 0, the least score and the least lead", () => {
  const two = (a: number, b: number) => [
    { agent: "a", score: a },
    { agent: "b", score: b },
  ];
  const thresholds = { leastScore: 0.2, leastLead: 0.1 };
  assert.equal(pick(two(0.5, 0.4), thresholds).fits, "a");
  assert.equal(pick(two(0.5, 0.45), thresholds).fits, null);
  assert.equal(pick(two(0.19, 0), thresholds).fits, null);
  assert.equal(pick(two(0, 0), { leastScore: 0, leastLead: 0 }).fits, null);
  assert.equal(pick(two(0.5, 0.5), { leastScore: 0, leastLead: 0 }).fits, null);
  assert.equal(pick(two(0.5, 0).slice(0, 1), thresholds).fits, "a");
  assert.equal(pick([], thresholds).fits, null);
});

test("a cosine is that of the angle, and 0 where there is none", () => {
  assert.equal(cosine([1, 0], [2, 0]), 1);
  assert.equal(cosine([1, 0], [0, 3]), 0);
  assert.equal(cosine([1, 0], [-2, 0]), -1);
  assert.deepEqual([cosine([0, 0], [1, 0]), cosine([1], [1, 0]), cosine([], [])], [0, 0, 0]);
});

const agents = [{ name: "a" }];
for (const [path, assignment] of [
  ["/assignment/otherwise", { otherwise: "b" }],
  ["/assignment/embeddings", { embeddings: "gpt" }],
  ["/assignment/embeddings/leastScore", { embeddings: { model, leastScore: 2 } }],
  ["/assignment/words/leastLead", { words: { leastLead: Number.NaN } }],
] as const) {
  test(`a configuration that is wrong at ${path} is refused`, () => {
    assert.throws(
      () => assignmentRules({ assignment, agents }),
      (thrown) => thrown instanceof InvalidInputError && thrown.path === path,
    );
  });
}

test("tasks must name their agent unless the configuration says otherwise", () => {
  for (const assignment of [undefined, false]) {
    assert.equal(assignmentRules({ agents, ...(assignment !== undefined && { assignment }) }), null);
  }
});
