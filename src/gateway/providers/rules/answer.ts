/** The words of an answer: what was done, what was found, what failed; or what this model can do at all. */
import { isObject, type Json } from "../../../agent/json.ts";
import type { Call, Dialogue } from "./dialogue.ts";
import type { Move, Report } from "./plan.ts";
import { askFor } from "./ask.ts";
import { isEmpty, renderFocus, renderValue } from "./render-value.ts";
import type { Clause } from "./request.ts";
import { changes, type ToolProfile } from "./tool-profile.ts";
import { isStopWord } from "./vocabulary.ts";
import { spoken, stem, stemsOf, wordsOf } from "./words.ts";

/** The last line of every answer. */
export const signature = "(Answered by rules/default, a rule-based stand-in; set HOLDFAST_MODEL for a real model.)";

export function answerText(move: Exclude<Move, { kind: "call" }>, dialogue: Dialogue): string {
  return `${body(move, dialogue)}\n\n${signature}`;
}

function body(move: Exclude<Move, { kind: "call" }>, dialogue: Dialogue): string {
  switch (move.kind) {
    case "talk":
      return talk(move.clauses, dialogue);
    case "ask":
      return [...reportParts(move.report, dialogue), askFor(move.tool, move.missing)].join("\n\n");
    case "answer":
      return reportParts(move.report, dialogue).join("\n\n");
  }
}

function reportParts({ calls, clauses, undone, conditional }: Report, { tools }: Dialogue): string[] {
  const parts = calls.map((call) => callText(call, { clauses, tool: tools.find(({ name }) => name === call.tool) }));
  const left = [...new Set(undone.map(({ name }) => spoken(name)))];
  const stopped = left.length === 0 ? [] : [`I stopped there and did not go on to: ${left.join(", ")}.`];
  const open = conditional.map(
    ({ name }) =>
      `I did not use ${spoken(name)}: rules alone cannot judge an "if". Please tell me plainly whether to do it.`,
  );
  return [...parts, ...stopped, ...open];
}

function callText(call: Call, context: { clauses: readonly Clause[]; tool: ToolProfile | undefined }): string {
  const { outcome } = call;
  const what = `${spoken(call.tool)}${argumentsText(call.input)}`;
  if (outcome === null) return `Nothing came back from ${what}.`;
  if (!outcome.ok) {
    if (outcome.denied)
      return `I did not do ${what}. ${outcome.message === "" ? "It was not approved." : outcome.message}`;
    return `${what.charAt(0).toUpperCase()}${what.slice(1)} failed: ${outcome.message}`;
  }
  if (context.tool !== undefined && changes(context.tool)) {
    const news = withoutEchoes(outcome.value, call.input);
    return isEmpty(news) ? `Done: ${what}.` : `Done: ${what}.\n${renderValue(news)}`;
  }
  if (isEmpty(outcome.value)) return `I found nothing with ${what}.`;
  const focus = renderFocus(outcome.value, askedFor(context.clauses, context.tool));
  return [...(focus === "" ? [] : [focus]), `From ${what}:`, renderValue(outcome.value)].join("\n");
}

/** " (order id A-1042, amount usd 80)". */
function argumentsText(input: Json): string {
  if (!isObject(input)) return "";
  const told = Object.entries(input).map(([name, value]) => `${spoken(name)} ${shortened(value)}`);
  return told.length === 0 ? "" : ` (${told.join(", ")})`;
}

function shortened(value: Json): string {
  const text = typeof value === "string" ? (/\s/u.test(value) ? `"${value}"` : value) : JSON.stringify(value);
  return text.length <= 120 ? text : `${text.slice(0, 120)}…`;
}

/** What a result adds to what the call itself said. */
function withoutEchoes(value: Json, input: Json): Json {
  if (!isObject(value) || !isObject(input)) return value;
  return Object.fromEntries(
    Object.entries(value).filter(([key, child]) => input[key] === undefined || input[key] !== child),
  );
}

const askedByQuestionWord: readonly (readonly [RegExp, string])[] = [
  [/\bwhere\b/iu, "status location tracking address carrier city"],
  [/\bwhen\b/iu, "date time day expected delivered arrival"],
  [/\bwho(?:se|m)?\b/iu, "name customer owner author"],
  [/\bhow much\b/iu, "total price amount cost balance"],
  [/\bhow many\b/iu, "count quantity number total"],
];

/** The stems of the fields that the questions are about. */
function askedFor(clauses: readonly Clause[], tool: ToolProfile | undefined): Set<string> {
  const asked = new Set<string>();
  for (const clause of clauses) {
    if (clause.mood !== "question") continue;
    for (const word of clause.stems) if (!(tool?.nouns.includes(word) ?? false)) asked.add(word);
    for (const [pattern, fields] of askedByQuestionWord)
      if (pattern.test(clause.text)) stemsOf(fields).forEach((word) => asked.add(word));
  }
  return asked;
}

function talk(clauses: readonly Clause[], dialogue: Dialogue): string {
  const request = dialogue.request.trim();
  if (/^(?:thanks|thank you|great|perfect|bye|goodbye)\b/iu.test(request)) return "You are welcome.";
  const opening =
    /^(?:hi|hello|hey|good (?:morning|afternoon|evening))\b/iu.test(request) || request === ""
      ? "Hello."
      : (fromInstructions(clauses, dialogue.instructions) ??
        (asksForHelp(request) ? "" : "I found nothing I could do for that by rules alone."));
  return [opening, abilities(dialogue.tools)].filter((part) => part !== "").join(" ");
}

function asksForHelp(request: string): boolean {
  return /\b(?:help|what can you|what do you do|who are you)\b/iu.test(request);
}

function abilities(tools: readonly ToolProfile[]): string {
  if (tools.length === 0) return "I have no tools here, so there is little I can do.";
  const listed = tools
    .slice(0, 12)
    .map(({ name, description }) => `- ${spoken(name)}${description === "" ? "" : `: ${firstSentence(description)}`}`);
  const more = tools.length > listed.length ? [`- and ${tools.length - listed.length} more`] : [];
  return ["What I can do here:", ...listed, ...more].join("\n");
}

function firstSentence(text: string): string {
  const plain = text.trim();
  const first = /^.{1,200}?[.!?](?=\s|$)/su.exec(plain)?.[0];
  return first ?? (plain.length <= 200 ? plain : `${plain.slice(0, 200).replace(/[\s,;:]+\S*$/u, "")}…`);
}

/** The sentence of the instructions that has most of the words of the question, if it has at least half of them and two. */
function fromInstructions(clauses: readonly Clause[], instructions: string): string | null {
  const asked = new Set(clauses.filter(({ mood }) => mood === "question").flatMap(({ stems }) => [...stems]));
  if (asked.size === 0) return null;
  const scored = instructions.split(/(?<=[.!?])\s+|\n+/u).map((sentence) => {
    const words = new Set(
      wordsOf(sentence)
        .filter((word) => !isStopWord(word))
        .map(stem),
    );
    return { sentence: sentence.trim(), hits: [...asked].filter((word) => words.has(word)).length };
  });
  const [best] = scored.toSorted((a, b) => b.hits - a.hits);
  return best === undefined || best.hits < 2 || best.hits * 2 < asked.size ? null : best.sentence;
}
