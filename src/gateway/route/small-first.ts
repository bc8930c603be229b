/**
 * Whether the answer of a small model that was asked first stands, and what becomes of it if it does not. It gives way to a
 * larger model where
 *
 *   it says so itself: it is told to answer with a marker, and nothing else, where it is not sure
 *   its answer is no answer: it is empty, or was cut off because it grew too long
 *   its answer is refused by whoever checks it: a tool that is not there, invalid arguments
 *   the route names a judge, and the judge finds it wanting
 *
 * What a model says of its own confidence is worth little in percent; whether it dares to answer at all is a question it
 * can be asked on every wire. The marker is held back, so that nobody sees it.
 *
 * The judge is asked last, and only of a turn that answers: one that asks for tools is checked by their schemas, and what
 * comes of them is judged with the answer. A judge that gives no verdict (an outage, nonsense) refuses nothing.
 */
import { textOf, type Delta, type Message } from "../../agent/conversation.ts";
import { judgedCode, type FailedAttempt } from "../../agent/journal.ts";
import type { RouteJudge } from "../../agent/route.ts";
import type { Clock } from "../../platform/clock.ts";
import { messageOf } from "../../platform/errors.ts";
import { askJudge, type Judgement } from "../judge.ts";
import type { ModelErrorCode, ModelGateway, ModelReply, ModelRequest } from "../model-gateway.ts";

/** Why an answer does not stand. */
export interface Doubt {
  readonly reason: string;
  /** It is whole and was only found wanting, with this score: it serves where nobody larger answers. Null: it is of no use. */
  readonly score: number | null;
}

/** What came of looking at an answer. */
export interface Examination {
  /** Null: the answer stands. */
  readonly doubt: Doubt | null;
  /** The calls of the judge, as the journal has them. */
  readonly judged: readonly FailedAttempt[];
  /** What the choice of the candidate is to say of the judge; empty: nothing. */
  readonly note: string;
}

/** An answer that was found wanting, kept for the case that nobody larger answers. */
export interface StandIn {
  readonly reply: ModelReply;
  readonly score: number;
  /** How it stands among the attempts of the call, with what it cost. */
  readonly attempt: FailedAttempt;
}

const marker = "[[ESCALATE]]";

const instruction =
  "If you are not confident that you can do the next step well, or if it needs more knowledge or reasoning than you have, " +
  `answer with nothing but ${marker} and a stronger model will take over.`;

const usualCriteria = [
  "The answer does what was asked, all of it: it neither evades the question nor leaves a part of it out.",
  "What the answer states agrees with what the assistant was given, above all by its tools, and nothing in it is made up.",
  "The answer keeps to the instructions of the assistant.",
];

/** Somebody waits for the answer that is judged. */
const longestJudgingMs = 60_000;
/** Of one message, and of the conversation as the judge is shown it. */
const mostMessageChars = 8_000;
const mostConversationChars = 32_000;

/** The request as a model sees it that may give way. */
export function mayGiveWay(request: ModelRequest): ModelRequest {
  return { ...request, system: request.system === "" ? instruction : `${request.system}\n\n${instruction}` };
}

/** Passes on text only once it can no longer become the marker; `flush` says that it has not. */
export function holdBackMarker(onDelta: (delta: Delta) => void): {
  readonly onDelta: (delta: Delta) => void;
  readonly flush: () => void;
} {
  let held: string | null = "";
  const flush = (): void => {
    if (held) onDelta({ type: "text", text: held });
    held = null;
  };
  return {
    flush,
    onDelta(delta) {
      if (held === null || delta.type !== "text") return onDelta(delta);
      held += delta.text;
      const begun = held.trimStart();
      if (!marker.startsWith(begun) && !begun.startsWith(marker)) flush();
    },
  };
}

export interface ExaminationDeps {
  /** Calls the judge. */
  readonly call: ModelGateway["call"];
  readonly clock: Clock;
}

/** @throws the signal's reason when it aborts */
export async function examine(deps: ExaminationDeps, reply: ModelReply, request: ModelRequest): Promise<Examination> {
  const reason = await whyUseless(reply, request);
  if (reason !== null) return { doubt: { reason, score: null }, judged: [], note: "" };
  const { judge } = request.route;
  if (judge === undefined || reply.finish !== "stop" || callsIn(reply).length > 0) return unjudged;
  return judgedBy(judge, await judgement(deps, judge, { reply, request }));
}

const unjudged: Examination = { doubt: null, judged: [], note: "" };

/** @returns why this is no answer that could be used; null: it is one */
async function whyUseless(reply: ModelReply, { check }: ModelRequest): Promise<string | null> {
  const text = textOf(reply.parts).trim();
  if (text.startsWith(marker)) return "It was not confident.";
  if (reply.finish === "length") return "Its answer was cut off because it grew too long.";
  if (text === "" && callsIn(reply).length === 0) return "Its answer was empty.";
  const refusal = (await check?.(reply.parts)) ?? null;
  return refusal === null ? null : `Its answer was refused: ${refusal}`;
}

function callsIn({ parts }: Pick<ModelReply, "parts">) {
  return parts.filter((part) => part.type === "call");
}

interface Timed extends Judgement {
  readonly at: number;
  readonly ms: number;
}

async function judgement(
  { call, clock }: ExaminationDeps,
  { model, criteria }: RouteJudge,
  { reply, request }: { reply: ModelReply; request: ModelRequest },
): Promise<Timed> {
  const late = new AbortController();
  const cancelTimer = clock.timer(longestJudgingMs, () => late.abort());
  const { caller, signal, interruption } = request;
  const interruptions = interruption === undefined ? late.signal : AbortSignal.any([late.signal, interruption]);
  const judge = { gateway: { call }, model, caller, signal, interruption: interruptions };
  const at = clock.now();
  const startedAt = clock.monotonic();
  const timed = (judged: Judgement): Timed => ({ ...judged, at, ms: Math.round(clock.monotonic() - startedAt) });
  try {
    return timed(await askJudge(judge, criteria.length === 0 ? usualCriteria : criteria, materialOf(request, reply)));
  } catch (error) {
    if (signal.aborted) throw error;
    const problem = `The judge could not be asked: ${messageOf(error)}`;
    return timed({ score: null, criteria: [], problem, replies: [], failed: [] });
  } finally {
    cancelTimer();
  }
}

function judgedBy({ model, atLeast }: RouteJudge, { at, ms, replies, failed, ...verdict }: Timed): Examination {
  const { score, criteria, problem } = verdict;
  const met = criteria.filter((each) => each.met).length;
  const wanting = criteria.flatMap((each) => (each.met ? [] : [each.reason]));
  const found = `${met} of ${criteria.length} criteria are met`;
  const message = score === null ? problem : [`${found}.`, ...wanting].join(" ");
  const judged = replies.flatMap(({ usage, costMicros, attempts, ...answered }, index) => {
    const isLast = index === replies.length - 1;
    // How long one of two took is not known: together they took as long as the last one says.
    const own = {
      code: judgedCode,
      message: isLast ? message : "The verdict cannot be read.",
      ms: isLast ? ms : 0,
      at,
    };
    return [...attempts, { model: answered.model, ...own, usage, costMicros }];
  });
  const note = score === null ? `no verdict of ${model}: ${problem}` : `${model}: ${found}`;
  const passed = score === null || score >= atLeast;
  const doubt = passed ? null : { reason: `Its answer was found wanting by ${model}: ${message}`, score };
  return { doubt, judged: [...judged, ...failed], note };
}

/** What the judge is shown. A long conversation is cut from its beginning, as its end is what the answer is about. */
function materialOf({ system, messages }: ModelRequest, reply: ModelReply): Readonly<Record<string, unknown>> {
  const conversation: unknown[] = [];
  let chars = 0;
  for (const message of messages.toReversed()) {
    const said = shown(message);
    chars += JSON.stringify(said).length;
    if (chars > mostConversationChars && conversation.length > 0) break;
    conversation.unshift(said);
  }
  return { instructions: cut(system), conversation, answer: textOf(reply.parts) };
}

function shown(message: Message): unknown {
  switch (message.role) {
    case "user":
      return { user: cut(message.text) };
    case "assistant": {
      const calls = callsIn(message).map(({ tool, input }) => ({ tool, input: cut(JSON.stringify(input)) }));
      return { assistant: cut(textOf(message.parts)), ...(calls.length > 0 && { calls }) };
    }
    case "tool":
      return { tool: message.tool, outcome: cut(JSON.stringify(message.outcome)) };
  }
}

function cut(text: string): string {
  return text.length <= mostMessageChars ? text : `${text.slice(0, mostMessageChars)}… (cut)`;
}

/** What was refused as a whole by a larger model's policy is not answered all the same by a smaller one. */
export function mayStandIn(failures: readonly { readonly code: ModelErrorCode }[]): boolean {
  return failures.every(({ code }) => code !== "model_content_policy");
}

/** The answer that was found wanting, as that of the call: it is charged for once, and the journal says how it came to count. */
export function standInReply({ reply, attempt }: StandIn, failed: readonly FailedAttempt[]): ModelReply {
  const attempts = failed.map((each) => {
    if (each !== attempt) return each;
    const { usage: _usage, costMicros: _costMicros, ...rest } = each;
    return rest;
  });
  const reason = `the small model is asked first; ${reply.model}: ${attempt.code}; no larger one answered: its answer is used`;
  return { ...reply, attempts, choice: { strategy: "small_first", reason } };
}
