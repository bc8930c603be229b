import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../../../test/support/seeded-random.ts";
import { defineAgent } from "../../agent/definition.ts";
import { gistOf, profileOf } from "./agent-profile.ts";
import { assignmentRules } from "./assignment-rules.ts";
import { pick } from "./assigner.ts";
import { createWordScores } from "./word-scores.ts";

const profile = (name: string, description: string, told: { instructions: string; tools: Record<string, string> }) =>
  profileOf(
    defineAgent({ name, description, instructions: told.instructions }),
    Object.entries(told.tools).map(([tool, what]) => ({ name: tool, description: what, inputSchema: {} })),
  );

const profiles = [
  profile("support", "Answers customers about their orders and shipments.", {
    instructions: "You work at the support desk of a web shop. Be polite. Look orders up before you answer.",
    tools: {
      find_order: "Find an order by its number.",
      track_parcel: "Where a parcel is.",
      refund: "Refund an order to its card.",
    },
  }),
  profile("billing", "Explains invoices, VAT and payment terms.", {
    instructions: "You are an accountant. Answer questions about invoices. Never promise a discount.",
    tools: { find_invoice: "Find an invoice by its number.", send_reminder: "Remind a customer of an open invoice." },
  }),
  profile("research", "Searches the web and summarises what it finds, with sources.", {
    instructions: "You do research. Compare several sources, and cite them.",
    tools: { web_search: "Search the web.", read_page: "Read a page of the web." },
  }),
  profile("scheduler", "Books, moves and cancels meetings in the calendar.", {
    instructions: "You keep calendars. Ask for time zones.",
    tools: { find_slot: "Find a free slot in the calendars of several people.", book_meeting: "Book a meeting." },
  }),
  profile("dev", "Reviews code and explains failing tests.", {
    instructions: "You are a careful software engineer.",
    tools: { read_file: "Read a file of the repository.", run_tests: "Run the tests of the project." },
  }),
];

const scores = createWordScores(profiles);
const { words: thresholds } = assignmentRules({ assignment: true, agents: [] })!;
const chosen = (prompt: string): string | null => {
  const ranked = scores(prompt).toSorted((one, other) => other.score - one.score);
  return pick(ranked, thresholds).fits;
};

/** Whose each is; null: it fits nobody, or several. */
const prompts: readonly (readonly [prompt: string, agent: string | null])[] = [
  ["Where is order A-1001?", "support"],
  ["my package never arrived, can you look where it is", "support"],
  ["I want my money back for order 12", "support"],
  ["refund the purchase A-9", "support"],
  ["Why is there VAT on my invoice 2024-17?", "billing"],
  ["When do I have to pay this bill?", "billing"],
  ["Search the web for what people say about the new act.", "research"],
  ["Find sources on coral bleaching and summarise them", "research"],
  ["Move my meeting to Friday", "scheduler"],
  ["cancel the appointment at noon", "scheduler"],
  ["Why does test foo.test.ts fail?", "dev"],
  ["Please review this code: function a() {}", "dev"],
  ["Can you help me?", null],
  ["Write a haiku about the sea", null],
  ["Who won the football match yesterday?", null],
  ["find it", null],
  ["What is the number?", null],
  ["Wo ist meine Bestellung?", null],
];

describe("By words", () => {
  for (const [prompt, agent] of prompts) {
    test(`"${prompt}" is ${agent === null ? "nobody's" : `that of ${agent}`}`, () => {
      assert.equal(chosen(prompt), agent);
    });
  }

  test("scores are 0 to 1, the same in any order of agents and words, and words that nobody knows change none", () => {
    const seed = 20_261_121;
    const random = seededRandom(seed);
    const vocabulary = prompts.flatMap(([prompt]) => prompt.split(" "));
    const some = <Item>(items: readonly Item[]): Item[] =>
      items.toSorted(() => random() - 0.5).slice(0, 1 + Math.floor(random() * 12));
    for (let round = 0; round < 300; round++) {
      const words = some(vocabulary);
      const found = scores(words.join(" "));
      assert.ok(
        found.every(({ score }) => score >= 0 && score <= 1),
        `seed ${seed}`,
      );
      const again = createWordScores(profiles.toReversed())(["zzyzx", ...words.toReversed(), "qwxk"].join(" "));
      for (const { agent, score } of again) {
        const before = found.find((each) => each.agent === agent)!.score;
        assert.ok(Math.abs(score - before) < 1e-9, `seed ${seed}: ${words.join(" ")}`);
      }
    }
  });

  test("what is said more than once by an agent counts more, but never as much as all", () => {
    const [once, often] = createWordScores([
      profile("once", "Refunds.", { instructions: "Be kind.", tools: {} }),
      profile("often", "Refunds, refunds.", { instructions: "Refunds.", tools: { refund: "Refunds." } }),
    ])("a refund");
    assert.ok(once!.score > 0 && often!.score > once!.score && often!.score < 1);
  });

  test("of a long prompt the beginning and the end are looked at", () => {
    const padding = "filler ".repeat(5_000);
    const gist = gistOf(`Refund it. ${padding} meeting ${padding} Order 7!`);
    assert.ok(gist.length < 6_010 && gist.startsWith("Refund it.") && gist.endsWith("Order 7!"));
    assert.ok(!gist.includes("meeting"));
    assert.equal(gistOf("Refund it."), "Refund it.");
  });
});
