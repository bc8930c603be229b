/**
 * How well agents fit a prompt by the words they share with it: BM25 over the parts of their profiles. It needs no model,
 * and says the same every time.
 *
 * A word counts the more the fewer agents it is a word of, and the more it weighs in the profile, with less and less gain.
 * The score is the share of what an agent would have that answers to all the words of the prompt that any agent knows: 0
 * to 1, whatever the length of the prompt. Stems and synonyms are those of the rules in gateway/providers/rules: English.
 * Words of other languages count where they are the same.
 */
import type { AgentScore } from "../../agent/journal.ts";
import { isStopWord, synonymsOf } from "../../gateway/providers/rules/vocabulary.ts";
import { stem, wordsOf } from "../../gateway/providers/rules/words.ts";
import type { AgentProfile } from "./agent-profile.ts";

/** Where more of the same word gains half of what is left to gain. */
const halfGain = 1.2;
/** How much the length of a profile takes from its words; 0: nothing. */
const lengthShare = 0.3;
/** What a word that only means the same counts of one that is the same. */
const synonymShare = 0.7;

/** What is said of any agent, and to any. */
const idle = new Set(
  wordsOf("agent assistant help assist answer question user work task tool use handle thing need job deal").map(stem),
);

export function createWordScores(profiles: readonly AgentProfile[]): (prompt: string) => AgentScore[] {
  const weighed = profiles.map(({ agent, parts }) => ({ agent, weights: weigh(parts) }));
  const lengths = weighed.map(({ weights }) => sum(weights.values()));
  const usual = Math.max(1, sum(lengths) / Math.max(1, lengths.length));
  const known = weighed.map(({ agent, weights }, index) => {
    const scale = 1 - lengthShare + (lengthShare * lengths[index]!) / usual;
    return { agent, gainOf: (word: string) => gain(word, weights, scale) };
  });
  return (prompt) => {
    const words = [...new Set(tellingStems(prompt))].map((word) => {
      const gains = known.map(({ gainOf }) => gainOf(word));
      return { gains, worth: worthOf(gains.filter((each) => each > 0).length, known.length) };
    });
    const most = sum(words.map(({ worth }) => worth));
    return known.map(({ agent }, index) => ({
      agent,
      score: most === 0 ? 0 : sum(words.map(({ gains, worth }) => gains[index]! * worth)) / most,
    }));
  };
}

function weigh(parts: AgentProfile["parts"]): ReadonlyMap<string, number> {
  const weights = new Map<string, number>();
  for (const { text, weight } of parts) {
    for (const word of tellingStems(text)) weights.set(word, (weights.get(word) ?? 0) + weight);
  }
  return weights;
}

function tellingStems(text: string): string[] {
  return wordsOf(text)
    .filter((word) => !isStopWord(word))
    .map(stem)
    .filter((word) => !idle.has(word));
}

/** 0 to 1. */
function gain(word: string, weights: ReadonlyMap<string, number>, scale: number): number {
  const meant = synonymsOf(word).map((other) => synonymShare * (weights.get(other) ?? 0));
  const weight = Math.max(weights.get(word) ?? 0, ...meant) / scale;
  return weight / (weight + halfGain);
}

/** A word that nobody knows says nothing of who fits better. */
function worthOf(knowing: number, all: number): number {
  return knowing === 0 ? 0 : Math.log(1 + (all - knowing + 0.5) / (knowing + 0.5));
}

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const each of numbers) total += each;
  return total;
}
