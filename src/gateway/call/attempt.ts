/**
 * One attempt at one model: opens the stream, reads it to its end, and gives up when it stays silent for too long. Or it
 * asks for the reply whole, which has to be there when a stream would have to begin.
 *
 * Whatever ends it (an abort, a time limit, an error) ends it at once, even if the provider package does not listen; the
 * connection is closed behind it, and not a delta comes after.
 */
import type { LanguageModelV4, LanguageModelV4CallOptions, LanguageModelV4StreamPart } from "@ai-sdk/provider";
import type { Delta } from "../../agent/conversation.ts";
import type { ModelTimeouts } from "../../agent/route.ts";
import type { Clock } from "../../platform/clock.ts";
import { HoldfastError } from "../../platform/errors.ts";
import { foldTurn, turnOf, type Turn } from "./turn.ts";

/**
 * Reasoning models that hide their reasoning stay silent for a minute and more, first and between two parts. The head of the
 * reply comes before, but some servers send it only when the request has come to its turn.
 */
export const defaultTimeouts: ModelTimeouts = {
  connectMs: 60_000,
  firstTokenMs: 120_000,
  silenceMs: 60_000,
  totalMs: 600_000,
};

export interface Attempt {
  readonly model: LanguageModelV4;
  readonly options: LanguageModelV4CallOptions;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly timeouts: ModelTimeouts;
  /** The reply is asked for whole: it costs less, and tells nothing before it is there. */
  readonly whole: boolean;
  /** Begins as `newProgress` and is kept up to date, for whoever must know what was paid for when the attempt is cut off. */
  readonly progress: AttemptProgress;
  /** The reply begins: its first token has come. */
  readonly onFirstToken: () => void;
  readonly onDelta: (delta: Delta) => void;
}

/** How far an attempt has come. */
export interface AttemptProgress {
  /** The head of the provider's reply has come: the request was taken, and whatever follows, it is paid for. */
  accepted: boolean;
  /** Of that head, with names in lower case. */
  headers: Readonly<Record<string, string>>;
  /** A monotonic reading; null: no token yet. */
  firstAt: number | null;
  text: string;
  reasoning: string;
}

export function newProgress(): AttemptProgress {
  return { accepted: false, headers: {}, firstAt: null, text: "", reasoning: "" };
}

export interface AttemptResult {
  readonly turn: Turn;
  /** Null: the reply came whole. */
  readonly pace: Pace | null;
  /** From the call to the end of the reply. */
  readonly wholeMs: number;
}

export interface Pace {
  /** From the call to the first token. */
  readonly ttftMs: number;
  /** From the first token to the last. */
  readonly tokensMs: number;
}

/** @throws the signal's reason when it aborts; HoldfastError `model_timeout`; or whatever the provider package throws */
export async function runAttempt(attempt: Attempt): Promise<AttemptResult> {
  const { signal } = attempt;
  signal.throwIfAborted();
  const controller = new AbortController();
  const ended = Promise.withResolvers<never>();
  const end = (reason: unknown): void => {
    controller.abort(reason);
    ended.reject(reason);
  };
  const onAbort = (): void => end(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  const watch = watchTime(attempt, end);
  try {
    const read = attempt.whole ? readWhole : readStream;
    return await Promise.race([ended.promise, read(attempt, { signal: controller.signal, watch })]);
  } catch (thrown) {
    // A reply that was read to its end has nothing left to abort.
    controller.abort();
    throw thrown;
  } finally {
    watch.stop();
    signal.removeEventListener("abort", onAbort);
  }
}

interface Watched {
  readonly signal: AbortSignal;
  readonly watch: TimeWatch;
}

async function readWhole(attempt: Attempt, { signal, watch }: Watched): Promise<AttemptResult> {
  const { model, options, clock, progress, onFirstToken } = attempt;
  const startedAt = clock.monotonic();
  const result = await model.doGenerate({ ...options, abortSignal: signal });
  signal.throwIfAborted();
  watch.connected();
  Object.assign(progress, { accepted: true, headers: result.response?.headers ?? {} });
  // Whatever is wrong with it, it was answered, and is paid for.
  progress.firstAt = clock.monotonic();
  onFirstToken();
  signal.throwIfAborted();
  return { turn: turnOf(result), pace: null, wholeMs: clock.monotonic() - startedAt };
}

async function readStream(attempt: Attempt, { signal, watch }: Watched): Promise<AttemptResult> {
  const { model, options, clock, progress, onFirstToken, onDelta } = attempt;
  const startedAt = clock.monotonic();
  let lastAt = startedAt;
  const turn = foldTurn();
  const { stream, response } = await model.doStream({ ...options, abortSignal: signal });
  signal.throwIfAborted();
  watch.connected();
  Object.assign(progress, { accepted: true, headers: response?.headers ?? {} });
  for await (const part of stream) {
    signal.throwIfAborted();
    const token = tokens.has(part.type);
    watch.alive(token);
    if (token) {
      lastAt = clock.monotonic();
      if (progress.firstAt === null) {
        progress.firstAt = lastAt;
        onFirstToken();
        // Whoever was told may have chosen another attempt.
        signal.throwIfAborted();
      }
    }
    const delta = turn.add(part);
    if (delta === null) continue;
    if (delta.type !== "restart") progress[delta.type] += delta.text;
    onDelta(delta);
  }
  signal.throwIfAborted();
  const endedAt = clock.monotonic();
  const firstAt = progress.firstAt ?? endedAt;
  return {
    turn: turn.end(),
    pace: { ttftMs: firstAt - startedAt, tokensMs: Math.max(0, lastAt - firstAt) },
    wholeMs: endedAt - startedAt,
  };
}

/** Parts of a stream that are of the reply itself. */
const tokens: ReadonlySet<LanguageModelV4StreamPart["type"]> = new Set([
  "text-delta",
  "reasoning-delta",
  "tool-input-delta",
  "tool-call",
]);

interface TimeWatch {
  /** The provider has begun to answer. */
  connected(): void;
  /** The stream gave something; `token`: of the reply itself. */
  alive(token: boolean): void;
  stop(): void;
}

/** One timer that is set anew only when it fires, not with every token. */
function watchTime({ clock, timeouts }: Attempt, expire: (reason: HoldfastError) => void): TimeWatch {
  const startedAt = clock.monotonic();
  const limits = {
    connect: { at: startedAt + timeouts.connectMs, what: `did not begin to answer within ${timeouts.connectMs} ms` },
    firstToken: { at: startedAt + timeouts.firstTokenMs, what: `gave no token within ${timeouts.firstTokenMs} ms` },
    silence: {
      at: Number.POSITIVE_INFINITY,
      what: `fell silent for ${timeouts.silenceMs} ms in the middle of its reply`,
    },
    whole: { at: startedAt + timeouts.totalMs, what: `did not finish its reply within ${timeouts.totalMs} ms` },
  };
  const due = () => Object.values(limits).reduce((first, each) => (each.at < first.at ? each : first));
  const check = (): void => {
    const { at, what } = due();
    const leftMs = at - clock.monotonic();
    if (leftMs > 0) cancel = clock.timer(Math.ceil(leftMs), check);
    else expire(new HoldfastError("model_timeout", `The model ${what}.`, { retry: "now" }));
  };
  const reach = (limit: { at: number }): void => {
    limit.at = Number.POSITIVE_INFINITY;
    cancel();
    check();
  };
  let cancel = clock.timer(Math.ceil(due().at - startedAt), check);
  let begun = false;
  return {
    connected: () => reach(limits.connect),
    alive(token) {
      if (begun || token) limits.silence.at = clock.monotonic() + timeouts.silenceMs;
      if (begun || !token) return;
      begun = true;
      reach(limits.firstToken);
    },
    stop: () => cancel(),
  };
}
