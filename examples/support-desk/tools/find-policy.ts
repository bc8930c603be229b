import { defineTool } from "holdfast";
import { z } from "zod";
import { policy, type Catalogue, type Policy } from "../catalogue.ts";

const maxPolicies = 3;

export function createFindPolicy({ catalogue }: { catalogue: Catalogue }) {
  return defineTool({
    name: "find_policy",
    version: "1.0.0",
    description:
      "Search the shop's policies by words: returns, refunds, damaged, broken or missing items, shipping, delivery times and costs, " +
      "late and lost parcels, cancelling, exchanges, warranty, payment, gift cards, discounts, invoices, privacy, opening hours.",
    effect: "read",
    input: z.object({ query: z.string().min(1).max(200).describe("What to look for, in a few words.") }),
    output: z.object({ policies: z.array(policy.omit({ id: true })) }),
    run: ({ query }) => {
      const words = wordsOf(query);
      const scored = catalogue.policies
        .map((each) => ({ each, score: scoreOf(each, words) }))
        .filter(({ score }) => score > 0)
        .toSorted((a, b) => b.score - a.score);
      const best = scored[0]?.score ?? 0;
      const near = scored.filter(({ score }) => score * 2 > best).slice(0, maxPolicies);
      return { policies: near.map(({ each: { title, text } }) => ({ title, text })) };
    },
  });
}

/** A word in the title says more than one in the text. */
function scoreOf({ title, text }: Policy, words: readonly string[]): number {
  const inTitle = wordsOf(title);
  const inText = wordsOf(text);
  return words.reduce((sum, word) => sum + 3 * Number(inTitle.includes(word)) + Number(inText.includes(word)), 0);
}

/** The first five letters, so that "return", "returns" and "returning" are one. */
function wordsOf(text: string): string[] {
  return (text.toLowerCase().match(/\p{L}{3,}/gu) ?? []).map((word) => word.slice(0, 5));
}
