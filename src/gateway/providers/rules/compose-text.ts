/** Free text for an argument, taken from the words of the request: what to say, why, about what, what to look for. */
import { findMentions, withoutMentions } from "./mentions.ts";
import type { Clause } from "./request.ts";
import type { ToolProfile } from "./tool-profile.ts";
import { actionOf, isLightVerb, isStopWord } from "./vocabulary.ts";
import { capitalised, stem, wordsOf } from "./words.ts";

const maxTitle = 70;
const titleWords = /^(?:subject|titled|entitled|title|headline|called|named)$/u;
const speech =
  /\b(?:saying|says?|to say|telling (?:them|him|her|us|\S+)|to (?:tell|inform) (?:them|him|her)|(?:to )?let .{1,60}? know|informing (?:them|him|her))(?: that)?[\s,:]+(.+)$/isu;
const because = /\b(?:because(?: of)?|due to|on account of|the reason is(?: that)?|reason:?|since(?! \d))\s+(.+)$/isu;
const afterwards = /,\s+((?:it|they|he|she|the|this|that|a|an|one|some|my|we|i|customer|item)\b[^,]{3,400})$/isu;
const about = /\b(?:about|regarding|concerning|on the subject of)\s+(.+)$/isu;

/** Why something is to be done, or null. */
export function reasonIn(clause: Clause, tool: ToolProfile): string | null {
  const said = because.exec(clause.text)?.[1] ?? noteReason(clause, tool) ?? afterwards.exec(clause.text)?.[1];
  return said === undefined ? null : tidy(said);
}

/** What is to be said or written, as a sentence, or null. */
export function messageIn(clause: Clause): string | null {
  const text = [clause.text, ...clause.notes].join(". ");
  const named = /\b(?:body|message|text)\s*(?:is|:)\s*["“]?([^"”]+)/isu.exec(text)?.[1];
  if (named !== undefined) return sentence(named);
  const quoted = clause.mentions.find(({ kind, before }) => kind === "quoted" && !titleWords.test(before));
  if (quoted !== undefined) return quoted.text;
  const said =
    speech.exec(clause.text)?.[1] ?? /\bthat (.+)$/isu.exec(clause.text)?.[1] ?? /\w:\s+(.+)$/su.exec(clause.text)?.[1];
  if (said !== undefined) return sentence([said, ...clause.notes].join(". "));
  if (clause.notes.length > 0) return clause.notes.map((note) => sentence(note)).join(" ");
  const matter = about.exec(clause.text)?.[1];
  return matter === undefined ? null : `This is about ${sentence(matter, false)}`;
}

/** A short line about it, or null. */
export function titleIn(clause: Clause): string | null {
  const text = [clause.text, ...clause.notes].join(". ");
  const named =
    /\b(?:subject|titled|entitled|title|headline|called|named)\s*(?:is|:|=)?\s*["“']([^"”']{1,200})["”']/iu.exec(
      text,
    )?.[1];
  const plain = /\b(?:subject|title)\s*(?:is\b|:)\s*([^.\n;]{1,200})/iu.exec(text)?.[1];
  if (named !== undefined || plain !== undefined) return tidy(named ?? plain ?? "");
  const source = about.exec(clause.text)?.[1] ?? messageIn(clause);
  return source === null ? null : cutToTitle(tidy(capitalised(source)));
}

/** The words to look for, or null: what the clause is about, without the verbs and the politeness around it. */
export function queryIn(clause: Clause, tool: ToolProfile): string | null {
  const quoted = clause.mentions.find(({ kind }) => kind === "quoted");
  if (quoted !== undefined) return quoted.text;
  const topic = about.exec(clause.text)?.[1] ?? /\bfor\s+(.+)$/isu.exec(clause.text)?.[1];
  const text = clause.stems.size > 0 ? clause.text : [...clause.preface, ...clause.notes, clause.text].join(" ");
  const words = keywordsIn(clause.mood === "order" && topic !== undefined ? topic : text, tool);
  return words.length === 0 ? null : words.join(" ");
}

/** What is left of an order when its verb and the name of the tool are taken away: "translate |good morning| into Greek". */
export function remainderIn(clause: Clause, tool: ToolProfile): string | null {
  const nouns = new Set(tool.nameWords.map(stem));
  let rest = clause.text;
  for (;;) {
    const first = /^[^\p{L}\p{N}]*([\p{L}\p{N}'’-]+)\s*/u.exec(rest);
    const word = first?.[1]?.toLowerCase() ?? "";
    if (
      first === null ||
      !(
        isStopWord(word) ||
        isLightVerb(word) ||
        nouns.has(stem(word)) ||
        (rest === clause.text && actionOf(word) !== null)
      )
    )
      break;
    rest = rest.slice(first[0].length);
  }
  const cut = rest.replace(/\s+(?:into|to|in|from|with|by|at|on)\s+[^\s]+(?:\s+[^\s]+)?$/u, "");
  const text = tidy(cut === "" ? rest : cut);
  return text === "" ? null : text;
}

function keywordsIn(text: string, tool: ToolProfile): string[] {
  const words =
    text
      .toLowerCase()
      .replaceAll(/['’]s\b/gu, "")
      .match(/[\p{L}\p{N}][\p{L}\p{N}@._-]*/gu) ?? [];
  const said = words.map((word) => word.replace(/[._-]+$/u, "")).filter((word) => !isStopWord(word));
  const first = said[0] ?? "";
  const verbless = said.length > 1 && actionOf(first) === "read" && wordsOf(text)[0] === first ? said.slice(1) : said;
  const nouns = new Set(tool.nouns);
  const content = verbless.filter((word) => !nouns.has(stem(word)) || verbless.length <= 2);
  return content.length === 0 ? verbless : content;
}

/** Remarks that say something beside what the tool asks for anyway: "It is A-1042" is no reason. */
function noteReason(clause: Clause, tool: ToolProfile): string | undefined {
  const afterColon = /\w:\s+(.+)$/su.exec(clause.text)?.[1];
  const remarks = [...clause.preface, ...(afterColon === undefined ? [] : [afterColon]), ...clause.notes];
  const telling = remarks.filter((note) => {
    const words = wordsOf(withoutMentions(note, findMentions(note)));
    return words.some((word) => !isStopWord(word) && !tool.weights.has(stem(word)));
  });
  return telling.length === 0 ? undefined : telling.join(". ").replace(/^(?:because|since)\s+/iu, "");
}

function sentence(text: string, upper = true): string {
  const plain = tidy(text);
  const closed = /[.!?]$/u.test(plain) ? plain : `${plain}.`;
  return upper ? capitalised(closed) : closed;
}

function tidy(text: string): string {
  return text
    .trim()
    .replace(/[\s,]*\b(?:please|thanks|thank you)[\s.!]*$/iu, "")
    .replace(/^["“'\s]+|["”'\s.,;]+$/gu, "");
}

function cutToTitle(text: string): string {
  const first = text.split(/[.!?]\s/u)[0] ?? text;
  return first.length <= maxTitle ? first : `${first.slice(0, maxTitle).replace(/\s+\S*$/u, "")}…`;
}
