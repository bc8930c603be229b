/** The exact things a text mentions: addresses, codes, amounts, dates, numbers, quotations. */

export type MentionKind =
  | "quoted"
  | "email"
  | "url"
  | "date"
  | "time"
  | "money"
  | "percent"
  | "code"
  | "number"
  | "acronym";

export interface Mention {
  readonly kind: MentionKind;
  /** As it stands in the text, without quotation marks. */
  readonly text: string;
  /** The number of an amount or a number, the ISO form of a full date, else the text. */
  readonly value: string | number;
  readonly start: number;
  readonly end: number;
  /** The word before and the word after it, in lower case, "" at the ends. */
  readonly before: string;
  readonly after: string;
}

const months = "january february march april may june july august september october november december".split(" ");
const month = `(?:${months.map((name) => `${name.slice(0, 3)}(?:${name.slice(3)})?`).join("|")})\\b\\.?`;
const weekday = "(?:mon|tues|wednes|thurs|fri|satur|sun)day";
const digits = "\\d{1,3}(?:,\\d{3})+(?:\\.\\d{1,9})?|\\d{1,15}(?:\\.\\d{1,9})?";

// Every repetition is bounded, so that a long text without spaces costs linear time. The order is the priority.
const patterns: readonly (readonly [MentionKind, string])[] = [
  ["quoted", `"[^"]{1,4000}"|“[^”]{1,4000}”|«[^»]{1,4000}»|(?<![\\p{L}\\p{N}])'[^']{1,4000}'(?![\\p{L}\\p{N}])`],
  ["url", `https?://[^\\s<>"']{1,500}`],
  ["email", `[\\w.+-]{1,64}@[\\w-]{1,63}(?:\\.[\\w-]{1,63}){1,5}`],
  ["code", `\\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\\b`],
  ["date", `\\b\\d{4}-\\d{2}-\\d{2}(?:T[\\d:.]{4,15}(?:Z|[+-]\\d{2}:\\d{2})?)?\\b`],
  ["date", `\\b${month} \\d{1,2}(?:st|nd|rd|th)?\\b(?:,? \\d{4}\\b)?`],
  ["date", `\\b\\d{1,2}(?:st|nd|rd|th)?(?: of)? ${month}(?: \\d{4}\\b)?`],
  [
    "date",
    `\\b(?:today|tonight|tomorrow|yesterday|(?:(?:next|this|last) )?${weekday}|(?:next|this) (?:week|month|year))\\b`,
  ],
  ["time", `\\b\\d{1,2}:\\d{2}(?: ?[ap]m\\b)?|\\b\\d{1,2} ?[ap]m\\b`],
  [
    "money",
    `[$€£] ?(?:${digits})|\\b(?:${digits}) ?(?:dollars?|usd|eur|euros?|pounds?|gbp|bucks)\\b|(?:${digits}) ?[€£]`,
  ],
  ["percent", `\\b(?:${digits}) ?(?:%|percent\\b)`],
  [
    "code",
    `#\\d{1,15}\\b|(?<![\\p{L}\\p{N}])(?=[A-Za-z_-]{0,16}\\d)[A-Za-z0-9]{1,24}(?:[-_][A-Za-z0-9]{1,24}){1,5}(?![\\p{L}\\p{N}@])`,
  ],
  [
    "code",
    `(?<![\\p{L}\\p{N}])(?:[A-Za-z]{1,16}\\d{1,15}|\\d{1,15}[A-Za-z]{1,16})[A-Za-z0-9]{0,24}(?![\\p{L}\\p{N}@])`,
  ],
  ["number", `(?<![\\p{L}\\p{N}.])-?(?:${digits})(?![\\p{L}\\p{N}])`],
];
const anyMention = new RegExp(patterns.map(([, source]) => `(${source})`).join("|"), "giu");
const ordinal = /^\d+(?:st|nd|rd|th)$/iu;

const numberWords = [
  "zero",
  "one",
  "two",
  "three",
  "four",
  "five",
  "six",
  "seven",
  "eight",
  "nine",
  "ten",
  "eleven",
  "twelve",
];

/** All mentions in the order of the text; they do not overlap. */
export function findMentions(text: string): Mention[] {
  const found: Mention[] = [];
  for (const match of text.matchAll(anyMention)) {
    const index = match.slice(1).findIndex((group) => group !== undefined);
    const kind = patterns[index]?.[0];
    if (kind === undefined || ordinal.test(match[0])) continue;
    const end = match.index + match[0].length;
    const written = kind === "quoted" ? match[0].slice(1, -1).trim() : match[0].replace(/[.,]+$/u, "");
    if (written === "") continue;
    found.push({
      kind,
      text: written,
      value: valueOf(kind, written),
      start: match.index,
      end,
      ...neighbours(text, match.index, end),
    });
  }
  return found;
}

/** Words in capitals, "EUR" or "LHR", beside what is mentioned anyway: codes, if a tool has a pattern that they fit. */
export function findAcronyms(text: string, mentions: readonly Mention[]): Mention[] {
  const words = [...text.matchAll(/(?<![\p{L}\p{N}])\p{Lu}[\p{Lu}\p{N}_]{1,24}(?![\p{L}\p{N}])/gu)].slice(0, 50);
  return words
    .map((match) => ({ match, end: match.index + match[0].length }))
    .filter(
      ({ match, end }) =>
        !mentions.some((mention) => mention.kind !== "money" && match.index < mention.end && mention.start < end),
    )
    .map(({ match, end }) => ({
      kind: "acronym",
      text: match[0],
      value: match[0],
      start: match.index,
      end,
      ...neighbours(text, match.index, end),
    }));
}

function neighbours(text: string, start: number, end: number): { before: string; after: string } {
  const before = /(\p{L}+)[^\p{L}]{0,3}$/u.exec(text.slice(Math.max(0, start - 40), start))?.[1];
  const after = /^[^\p{L}.;,!?]{0,3}(\p{L}+)/u.exec(text.slice(end, end + 40))?.[1];
  return { before: before?.toLowerCase() ?? "", after: after?.toLowerCase() ?? "" };
}

/** "three" as 3; undefined for any other word. */
export function numberWord(word: string): number | undefined {
  const index = numberWords.indexOf(word.toLowerCase());
  return index < 0 ? undefined : index;
}

/** The text with what was mentioned blanked out, at equal length. */
export function withoutMentions(text: string, mentions: readonly Mention[]): string {
  let rest = text;
  for (const { start, end } of mentions) rest = rest.slice(0, start) + " ".repeat(end - start) + rest.slice(end);
  return rest;
}

function valueOf(kind: MentionKind, text: string): string | number {
  if (kind === "date") return isoDate(text);
  if (kind !== "money" && kind !== "number" && kind !== "percent") return text;
  return Number(/-?\d[\d,]*(?:\.\d+)?/u.exec(text)?.[0].replaceAll(",", "") ?? "0");
}

/** A written date with a year in ISO form; without a year nobody here knows which, and the text stands. */
function isoDate(text: string): string {
  const name = /[a-z]{3}/iu.exec(text.replaceAll(/\d+(?:st|nd|rd|th)/giu, ""))?.[0].toLowerCase();
  const monthNumber = months.findIndex((full) => full.slice(0, 3) === name) + 1;
  const year = /\b\d{4}\b/u.exec(text)?.[0];
  const day = /\b(\d{1,2})(?:st|nd|rd|th)?\b/iu.exec(text)?.[1];
  if (/^\d{4}-/u.test(text) || monthNumber === 0 || year === undefined || day === undefined) return text;
  return `${year}-${String(monthNumber).padStart(2, "0")}-${day.padStart(2, "0")}`;
}
