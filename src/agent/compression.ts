/**
 * Making room in a conversation that no model of the route can take: what to leave out, what to shorten, how much a summary
 * may say. Pure: `decide` asks for a plan, the engine has the summary written, `fold` puts it in the place of the rest.
 *
 *   shown before:  what the session held · the prompt · older turns · the newest turns
 *   shown after:   the summary           · the prompt ·               the newest turns
 *
 * A cut is always before a model turn, so that every call stays with its outcomes. All sizes are in characters: whatever a
 * model makes of them in tokens, half of them is about half.
 */
import { userMessage, type Message } from "./conversation.ts";
import { roughSize, type Json } from "./json.ts";
import { tokensOf } from "./limits.ts";
import { fairShare, outcomeChars, shortenOutcome } from "./shorten.ts";
import type { Transcript } from "./transcript.ts";

/** What of a task's state is looked at. */
export interface Conversation {
  readonly brief: {
    readonly overheadTokens: number;
    readonly historyTokens: number;
    readonly windowTokens: number | null;
  };
  readonly prompt: string;
  readonly summary: string | null;
  readonly messages: Transcript;
  readonly contextTokens: number;
  /** In a row, without a model turn between them. */
  readonly compressions: number;
}

export interface CompressionPlan {
  /** So many of the newest turns stay. */
  readonly keptTurns: number;
  /** Outcomes of the newest turn that are longer are shortened to this; null: none is. */
  readonly outcomeChars: number | null;
  /** How much of the rest is shown to whoever summarises it; null: there is no rest. */
  readonly digestChars: number | null;
  /** How long the summary may be. */
  readonly summaryChars: number;
  /** The most that the call for it may take, estimated. */
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** More in a row do not help: the last of them leaves nothing but the prompt and the summary. */
const mostCompressions = 3;

const charsPerToken = 4;
/** What the call for a summary says besides the conversation. */
const askingTokens = 400;
const leastSummaryChars = 400;
const mostSummaryChars = 8_000;
/** Where outcomes stay as long as this, shortening them is better than leaving turns out. */
const usefulOutcomeChars = 2_000;
const leastOutcomeChars = 400;
/** Of what can be made shorter, at least this share must go: else it is not worth a call. */
const leastGain = 1 / 4;
/** Of the window, what the call for a summary may be shown, and what it may answer with. */
const digestShare = 5 / 8;
const answerShare = 1 / 4;
const mostAnswerTokens = 4_096;

// It must not be taken for a request: models that find a list of open points set about doing them all again.
const preface =
  "Notes on what was said and done before, in place of the conversation itself, which was too long. They may tell of " +
  "work on the request that follows; they are no request of their own.";
const prefaceChars = preface.length + 2;

/** What would make the conversation fit; null: nothing that could be left out would. */
export function planCompression(conversation: Conversation): CompressionPlan | null {
  const { brief, prompt, contextTokens, compressions } = conversation;
  if (compressions >= mostCompressions) return null;
  const fixed = brief.overheadTokens * charsPerToken + prompt.length;
  const whole = fixed + variableChars(conversation);
  // What was refused, or what the largest window takes of it: in the measure of our own estimate.
  const limitTokens = Math.max(1, Math.min(contextTokens, brief.windowTokens ?? contextTokens));
  const limit = whole * Math.min(1, limitTokens / Math.max(1, contextTokens));
  const room = Math.max(0, limit - fixed) / 2;
  const cuts = cutsOf(conversation, room).filter(
    ({ keptTurns }) => keptTurns === 0 || compressions < mostCompressions - 1,
  );
  const cut = cuts.find(({ left }) => left <= room) ?? cuts.at(-1);
  if (cut === undefined || cut.left > (whole - fixed) * (1 - leastGain)) return null;
  const { keptTurns, outcomeChars: cap, covered, summaryChars } = cut;
  const digestChars = covered === 0 ? null : Math.min(covered, Math.floor(limit * digestShare));
  const answerTokens = Math.max(tokensOf(summaryChars), Math.floor(limitTokens * answerShare));
  return {
    keptTurns,
    outcomeChars: cap,
    digestChars,
    summaryChars,
    inputTokens: digestChars === null ? 0 : askingTokens + tokensOf(digestChars),
    outputTokens: Math.min(mostAnswerTokens, answerTokens),
  };
}

interface Cut extends Pick<CompressionPlan, "keptTurns" | "outcomeChars" | "summaryChars"> {
  /** Characters that a summary takes the place of. */
  readonly covered: number;
  /** Characters after it, besides what stays in any case. */
  readonly left: number;
}

/** From the mildest to the harshest. */
function cutsOf(conversation: Conversation, room: number): Cut[] {
  const before = beforeChars(conversation);
  const { unanswered, turns } = conversation.messages.parts();
  const summaryChars = Math.round(Math.min(mostSummaryChars, Math.max(leastSummaryChars, room / 4)));
  const sizes = turns.map(roughSize);
  const said = before + roughSize(unanswered) + sum(sizes);
  const newest = newestOf(turns.at(-1) ?? []);
  const cuts: Cut[] = [];

  const allButOutcomes = said - newest.outcomes;
  const cap = fairShare(newest.lengths, room - allButOutcomes);
  if (newest.outcomes > 0 && cap >= usefulOutcomeChars && cap < Number.POSITIVE_INFINITY) {
    const left = allButOutcomes + newest.lengths.length * cap;
    cuts.push({ keptTurns: turns.length, outcomeChars: Math.floor(cap), summaryChars: 0, covered: 0, left });
  }
  if (turns.length > 0) cuts.push(cutBefore({ before, unanswered, sizes, newest, summaryChars }, room));
  // What the user said to the newest turn stays in any case: nothing has answered to it.
  const stays = roughSize((turns.at(-1) ?? unanswered).filter(({ role }) => role === "user"));
  const covered = said - stays;
  if (covered > 0)
    cuts.push({ keptTurns: 0, outcomeChars: null, summaryChars, covered, left: prefaceChars + summaryChars + stays });
  return cuts;
}

interface Measured {
  readonly before: number;
  readonly unanswered: readonly Message[];
  readonly sizes: readonly number[];
  readonly newest: Newest;
  readonly summaryChars: number;
}

/** As many turns as there is room for stay, and the newest in any case, with shorter outcomes if they do not fit. */
function cutBefore({ before, unanswered, sizes, newest, summaryChars }: Measured, room: number): Cut {
  const keepRoom = room - prefaceChars - summaryChars;
  let kept = 0;
  let keptTurns = 0;
  while (keptTurns < sizes.length && (keptTurns === 0 || kept + sizes.at(-1 - keptTurns)! <= keepRoom)) {
    kept += sizes.at(-1 - keptTurns)!;
    keptTurns += 1;
  }
  const isWhole = keptTurns === sizes.length;
  const covered = before + (isWhole ? 0 : roughSize(unanswered) + sum(sizes) - kept);
  if (isWhole) kept += roughSize(unanswered);
  const share = fairShare(newest.lengths, keepRoom - (kept - newest.outcomes));
  const cap =
    keptTurns === 1 && share < Number.POSITIVE_INFINITY ? Math.max(leastOutcomeChars, Math.floor(share)) : null;
  const outcomes = cap === null ? newest.outcomes : sum(newest.lengths.map((length) => Math.min(length, cap)));
  const left = kept - newest.outcomes + outcomes + (covered > 0 ? prefaceChars + summaryChars : 0);
  return { keptTurns, outcomeChars: cap, summaryChars, covered, left };
}

interface Newest {
  readonly lengths: readonly number[];
  /** Characters of all of them. */
  readonly outcomes: number;
}

function newestOf(turn: readonly Message[]): Newest {
  const lengths = turn.flatMap((message) => (message.role === "tool" ? [outcomeChars(message.outcome)] : []));
  return { lengths, outcomes: sum(lengths) };
}

/** What is not the same in every call of the task: what was said before its prompt and after it. */
function variableChars(conversation: Conversation): number {
  const { unanswered, turns } = conversation.messages.parts();
  return beforeChars(conversation) + roughSize(unanswered) + sum(turns.map(roughSize));
}

/** What stands before the prompt. */
function beforeChars({ summary, brief }: Pick<Conversation, "summary" | "brief">): number {
  return summary === null ? brief.historyTokens * charsPerToken : prefaceChars + summary.length;
}

/** What the summary is to take the place of. @param history what the session held before the task */
export function coveredBy(
  { keptTurns }: Pick<CompressionPlan, "keptTurns">,
  { summary, messages }: Pick<Conversation, "summary" | "messages">,
  history: readonly Message[],
): Message[] {
  return [...(summary === null ? history : [summaryMessage(summary)]), ...messages.before(keptTurns)];
}

/** What a model is shown of a task: a summary stands for the session and the older turns. */
export function shownMessages(
  { prompt, summary, messages }: Pick<Conversation, "prompt" | "summary" | "messages">,
  { history, context }: { history: readonly Message[]; context: Json },
): Message[] {
  const before = summary === null ? history : [summaryMessage(summary)];
  return [...before, userMessage(prompt, context), ...messages];
}

function summaryMessage(summary: string): Message {
  return { role: "user", text: `${preface}\n\n${summary}` };
}

/** What a compression leaves of the state, and how long the conversation is then. */
export function compressed(
  conversation: Conversation,
  { keptTurns, outcomeChars: cap, summary }: { keptTurns: number; outcomeChars: number | null; summary: string | null },
): Pick<Conversation, "summary" | "messages" | "contextTokens"> {
  const { messages, brief, prompt, contextTokens } = conversation;
  const kept = summary === null ? messages : messages.keeping(keptTurns);
  const after = {
    summary: summary ?? conversation.summary,
    messages: cap === null ? kept : kept.withOutcomes((outcome, callId) => shortenOutcome(outcome, cap, callId)),
  };
  const fixed = brief.overheadTokens * charsPerToken + prompt.length;
  const before = fixed + variableChars(conversation);
  const chars = fixed + variableChars({ ...conversation, ...after });
  // As many tokens as the provider counted for the characters of the whole it will count for those of the rest.
  return { ...after, contextTokens: Math.ceil((chars * contextTokens) / Math.max(1, before)) };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, each) => all + each, 0);
}
