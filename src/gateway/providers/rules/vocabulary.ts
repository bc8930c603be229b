/** The little English the rules know: verbs by what they do, words that say nothing, a few words for one thing. */
import { stem, wordsOf } from "./words.ts";

const readVerbs =
  "find look lookup get show list search check fetch read view see display retrieve query count track browse describe " +
  "inspect locate calculate compute convert translate summarize estimate compare verify validate explain";

/** Verbs that change something; one line is one action said in several ways. */
const actions = [
  "send email mail notify message write tell inform text contact reply let",
  "refund reimburse repay",
  "create add open file book schedule register start raise submit log place reserve insert generate make",
  "delete remove erase drop discard clear",
  "cancel abort stop terminate revoke",
  "update change edit modify set rename move correct adjust reschedule",
  "close resolve finish complete",
  "pay charge transfer buy purchase bill wire",
  "approve accept confirm",
  "reject decline deny",
  "escalate assign",
  ..."archive publish deploy restart enable disable lock unlock grant upload subscribe unsubscribe invite merge apply".split(
    " ",
  ),
  ..."redeem block ban reset ship return replace exchange upgrade downgrade renew pause resume print share run".split(
    " ",
  ),
];

/** Verbs that only carry a noun ("issue a refund", "give me a refund"). */
const lightVerbs = new Set(stems("give make do issue process get want need like wish please go take have put"));

const actionOfStem = new Map<string, string>();
for (const line of [...actions, readVerbs]) {
  const group = line === readVerbs ? "read" : stem(line.split(" ")[0] ?? "");
  for (const verb of line.split(" ")) if (!actionOfStem.has(stem(verb))) actionOfStem.set(stem(verb), group);
}
const baseVerbs = new Set([...actions, readVerbs].flatMap((line) => line.split(" ")));

const sameThing = [
  "email mail message",
  "customer client buyer",
  "order purchase",
  "meeting appointment event",
  "ticket issue case",
  "package parcel shipment",
  "cost price amount total",
  "policy rule terms",
].map(stems);

const stopWords = new Set(
  wordsOf(
    "a an the this that these those it its they them their he him his she her i me my mine we us our you your yours " +
      "is are was were be been being am do does did has have had can could may might must shall should will would " +
      "of for to from in on at by with about into onto over under as if or and but so than then not no nor too very " +
      "what where when who whom whose which why how please there here also just any some all more most much many " +
      "s t d m ll re ve dont let want need like know tell say says said hi hello hey thanks thank ok okay yes now one",
  ),
);

export type Action = string;

/** What kind of action a word names: "read", the name of a group of verbs that change something, or null. */
export function actionOf(word: string): Action | null {
  return actionOfStem.get(stem(word)) ?? null;
}

export function isLightVerb(word: string): boolean {
  return lightVerbs.has(stem(word));
}

/** A verb as an order is given with it: "refund", but not "refunds" or "refunded". */
export function isBaseVerb(word: string): boolean {
  return baseVerbs.has(word);
}

export function isStopWord(word: string): boolean {
  return stopWords.has(word);
}

/** Other stems that mean the same thing. */
export function synonymsOf(wordStem: string): string[] {
  return sameThing
    .filter((group) => group.includes(wordStem))
    .flatMap((group) => group.filter((other) => other !== wordStem));
}

function stems(line: string): string[] {
  return line.split(" ").map(stem);
}
