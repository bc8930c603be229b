/**
 * A model that says what a test tells it to: a ModelGateway with no provider, no HTTP and no time in it.
 *
 * @example
 * const gateway = scriptedGateway([
 *   { calls: [{ name: "find_order", input: { orderId: "A-1" } }] },
 *   { text: "It was shipped yesterday." },
 * ]);
 */
import type { AssistantPart, Usage } from "../agent/conversation.ts";
import type { FailedAttempt, FinishReason } from "../agent/journal.ts";
import type { Json } from "../agent/json.ts";
import { modelsOf } from "../agent/route.ts";
import type { ModelGateway, ModelReply, ModelRequest } from "../gateway/model-gateway.ts";

export interface ScriptedTurn {
  readonly text?: string;
  readonly reasoning?: string;
  /** Tool calls; an id that is left out becomes `call_<turn>_<position>`. */
  readonly calls?: readonly { readonly id?: string; readonly name: string; readonly input: Json }[];
  /** Default "calls" if there are any, else "stop". */
  readonly finish?: FinishReason;
  /** Default: 10 tokens in, 5 out. */
  readonly usage?: Partial<Usage>;
  /** Default 0; null: unknown. */
  readonly costMicros?: number | null;
  /** Failed attempts that came before this answer. */
  readonly attempts?: readonly FailedAttempt[];
  /** Thrown instead of an answer, after the deltas of `text`; to be like the real gateway, a ModelCallError. */
  readonly error?: Error;
  /** The turn waits for this before it says anything more than `first`. */
  readonly gate?: Promise<unknown>;
  /** The beginning of its text, said before it waits for `gate`. */
  readonly first?: string;
}

/** The turns in order, or a function of the request and the number of the turn, from 1. */
export type GatewayScript =
  | readonly ScriptedTurn[]
  | ((request: ModelRequest, turn: number) => ScriptedTurn | Promise<ScriptedTurn>);

export interface ScriptedGateway extends ModelGateway {
  /** Every request so far. */
  readonly requests: readonly ModelRequest[];
}

/**
 * A model in the process that answers by a script, for tests of an agent with no HTTP at all: pass it to `createHoldfast` as
 * `parts.gateway`.
 */
export function scriptedGateway(script: GatewayScript): ScriptedGateway {
  const requests: ModelRequest[] = [];
  return {
    requests,
    async call(request) {
      request.signal.throwIfAborted();
      const number = requests.push(request);
      const asked = turnOf(script, request, number);
      if (await unlessInterrupted(asked, request)) return replyOf({ finish: "interrupted" }, { request, number });
      const turn = await asked;
      if (turn.first) request.onDelta({ type: "text", text: turn.first });
      const interrupted = await unlessInterrupted(Promise.resolve(turn.gate), request);
      if (interrupted) return replyOf({ text: turn.first ?? "", finish: "interrupted" }, { request, number });
      if (turn.reasoning) request.onDelta({ type: "reasoning", text: turn.reasoning });
      if (turn.text) request.onDelta({ type: "text", text: turn.text });
      if (turn.error) throw turn.error;
      return replyOf({ ...turn, text: `${turn.first ?? ""}${turn.text ?? ""}` }, { request, number });
    },
  };
}

async function turnOf(script: GatewayScript, request: ModelRequest, number: number): Promise<ScriptedTurn> {
  if (typeof script === "function") return script(request, number);
  const turn = script[number - 1];
  if (!turn) throw new Error(`The script holds ${script.length} turns, but the model was called a ${number}th time.`);
  return turn;
}

function replyOf(turn: ScriptedTurn, { request, number }: { request: ModelRequest; number: number }): ModelReply {
  const parts: AssistantPart[] = [];
  if (turn.reasoning) parts.push({ type: "reasoning", text: turn.reasoning });
  if (turn.text) parts.push({ type: "text", text: turn.text });
  turn.calls?.forEach(({ id, name, input }, index) =>
    parts.push({ type: "call", id: id ?? `call_${number}_${index + 1}`, tool: name, input }),
  );
  return {
    parts,
    finish: turn.finish ?? (turn.calls?.length ? "calls" : "stop"),
    model: modelsOf(request.route)[0] ?? "scripted/model",
    usage: { input: 10, cached: 0, output: 5, reasoning: 0, estimated: false, ...turn.usage },
    costMicros: turn.costMicros === undefined ? 0 : turn.costMicros,
    ttftMs: 0,
    tpotMs: 0,
    attempts: turn.attempts ?? [],
  };
}

/** @returns whether the request was interrupted before `wait` was over */
async function unlessInterrupted(wait: Promise<unknown>, { signal, interruption }: ModelRequest): Promise<boolean> {
  if (interruption === undefined) return unlessAborted(wait, signal).then(() => false);
  const over = unlessAborted(wait, AbortSignal.any([signal, interruption]));
  return over.then(
    () => false,
    (thrown: unknown) => {
      if (signal.aborted || !interruption.aborted) throw thrown;
      return true;
    },
  );
}

async function unlessAborted<T>(wait: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    // The abort is first: of two that have happened it is the one that counts.
    return await Promise.race([aborted.promise, wait]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
