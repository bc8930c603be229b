/** Texts made to fit: the middle goes, the beginning and the end stay, and a note says how much is missing. */
import type { ToolOutcome } from "./conversation.ts";

/** Of what fits, the share that the beginning has: what something is stands there more often than at the end. */
const headShare = 2 / 3;

/** The text, of at most about `mostChars`; `where` says where the whole is. */
export function shorten(text: string, mostChars: number, where = ""): string {
  if (text.length <= mostChars) return text;
  const note = (left: number): string => `\n[${left} characters are left out here${where}]\n`;
  const room = Math.max(0, mostChars - note(text.length).length);
  const head = Math.floor(room * headShare);
  const tail = room - head;
  // Never half of a surrogate pair.
  const begins = text.slice(0, head).replace(/[\uD800-\uDBFF]$/, "");
  const ends = tail === 0 ? "" : text.slice(-tail).replace(/^[\uDC00-\uDFFF]/, "");
  return `${begins}${note(text.length - begins.length - ends.length)}${ends}`;
}

/** The outcome as text of at most about `mostChars`. */
export function shortenOutcome(outcome: ToolOutcome, mostChars: number, callId: string): ToolOutcome {
  if (outcomeChars(outcome) <= mostChars) return outcome;
  const where = `; the whole is in the task's journal, as the outcome of call ${callId}`;
  if (!outcome.ok) return { ...outcome, message: shorten(outcome.message, mostChars, where) };
  return { ...outcome, output: shorten(outcomeText(outcome), mostChars, where) };
}

/** How many characters of an outcome there are to shorten. */
export function outcomeChars(outcome: ToolOutcome): number {
  return outcomeText(outcome).length;
}

export function outcomeText(outcome: ToolOutcome): string {
  if (!outcome.ok) return outcome.message;
  return typeof outcome.output === "string" ? outcome.output : JSON.stringify(outcome.output);
}

/** The longest that each of these texts may be so that all together have at most `mostChars`; short ones leave room for long ones. */
export function fairShare(lengths: readonly number[], mostChars: number): number {
  let left = mostChars;
  let texts = lengths.length;
  for (const length of lengths.toSorted((one, other) => one - other)) {
    if (length * texts > left) return Math.max(0, Math.floor(left / texts));
    left -= length;
    texts -= 1;
  }
  return Number.POSITIVE_INFINITY;
}
