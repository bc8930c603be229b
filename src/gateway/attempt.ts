/**
 * One attempt at one model: opens the stream, reads it to its end, and gives up when it stays silent for too long.
 *
 * Whatever ends it (an abort, a time limit, an error) ends it at once, even if the provider package does not listen; the
 * connection is closed behind it, and not a delta comes after.
 */
import type { LanguageModelV4, LanguageModelV4CallOptions, LanguageModelV4StreamPart } from "@ai-sdk/provider";
import type { Clock } from "../platform/clock.ts";
import { HoldfastError } from "../platform/errors.ts";
import type { Delta } from "../agent/conversation.ts";
import { foldTurn, type Turn } from "./turn.ts";

export interface AttemptTimeouts {
  /** From the call to the first token. */
  readonly firstTokenMs: number;
  /** Between two signs of life after it. */
  readonly silenceMs: number;
  /** The whole reply. */
  readonly totalMs: number;
}

/** Reasoning models that hide their reasoning stay silent for a minute and more, first and between two parts. */
export const defaultTimeouts: AttemptTimeouts = { firstTokenMs: 120_000, silenceMs: 60_000, totalMs: 600_000 };

export interface Attempt {
  readonly model: LanguageModelV4;
  readonly options: LanguageModelV4CallOptions;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly timeouts: AttemptTimeouts;
  readonly onDelta: (delta: Delta) => void;
}

export interface AttemptResult {
  readonly turn: Turn;
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
    return await Promise.race([ended.promise, readReply(attempt, { signal: controller.signal, watch })]);
  } finally {
    watch.stop();
    signal.removeEventListener("abort", onAbort);
    controller.abort();
  }
}

async function readReply(
  attempt: Attempt,
  { signal, watch }: { signal: AbortSignal; watch: TimeWatch },
): Promise<AttemptResult> {
  const { model, options, clock, onDelta } = attempt;
  const startedAt = clock.monotonic();
  let firstAt: number | null = null;
  let lastAt = startedAt;
  const turn = foldTurn();
  const { stream } = await model.doStream({ ...options, abortSignal: signal });
  for await (const part of stream) {
    signal.throwIfAborted();
    watch.alive(isToken(part));
    if (isToken(part)) {
      lastAt = clock.monotonic();
      firstAt ??= lastAt;
    }
    const delta = turn.add(part);
    if (delta) onDelta(delta);
  }
  signal.throwIfAborted();
  return {
    turn: turn.end(),
    ttftMs: (firstAt ?? clock.monotonic()) - startedAt,
    tokensMs: lastAt - (firstAt ?? lastAt),
  };
}

function isToken(part: LanguageModelV4StreamPart): boolean {
  return /^(text|reasoning|tool-input)-delta$|^tool-call$/.test(part.type);
}

interface TimeWatch {
  /** The stream gave something; `token`: of the reply itself. */
  alive(token: boolean): void;
  stop(): void;
}

/** One timer that is set anew only when it fires, not with every token. */
function watchTime({ clock, timeouts }: Attempt, expire: (reason: HoldfastError) => void): TimeWatch {
  const startedAt = clock.monotonic();
  let aliveAt = startedAt;
  let begun = false;
  const due = (): { at: number; what: string } => {
    const silent = begun
      ? {
          at: aliveAt + timeouts.silenceMs,
          what: `fell silent for ${timeouts.silenceMs} ms in the middle of its reply`,
        }
      : { at: startedAt + timeouts.firstTokenMs, what: `gave no token within ${timeouts.firstTokenMs} ms` };
    const whole = { at: startedAt + timeouts.totalMs, what: `did not finish its reply within ${timeouts.totalMs} ms` };
    return silent.at <= whole.at ? silent : whole;
  };
  const check = (): void => {
    const { at, what } = due();
    const leftMs = at - clock.monotonic();
    if (leftMs > 0) cancel = clock.timer(Math.ceil(leftMs), check);
    else expire(new HoldfastError("model_timeout", `The model ${what}.`, { retry: "now" }));
  };
  let cancel = clock.timer(Math.ceil(due().at - startedAt), check);
  return {
    alive(token) {
      aliveAt = clock.monotonic();
      if (begun || !token) return;
      begun = true;
      cancel();
      check();
    },
    stop: () => cancel(),
  };
}
