/**
 * Asks a second time when the first token is late, and takes whichever answers first.
 *
 * Late means: later than 95 of 100 of the model's last answers. The second request goes to another candidate of the same
 * rank, or else to the same model again: not to a lower rank, which would be faster by being worse. The first token decides,
 * because from then on the user sees the answer; the other request is cut off and what it cost is written down. In an outage
 * everything is late, so second requests are taken from the retry budget.
 */
import type { Candidate } from "../../agent/route.ts";
import type { Delta } from "../../agent/conversation.ts";
import { attemptCandidate, HedgeLost, type AttemptOptions, type AttemptOutcome } from "../call/candidate-attempt.ts";
import type { CallParts, ModelCall } from "../call/model-call.ts";

/** With fewer measurements nobody knows what late is. */
const leastSamples = 20;
const lateShare = 0.95;

type Attempted = Omit<AttemptOptions, "signal" | "onFirstToken">;

/** @returns after how long the candidate's first token is late; null: no second request may be made */
export function hedgeAfterMs({ records }: CallParts, call: ModelCall, { model }: Candidate): number | null {
  const { ttftMs } = records.of(model);
  if (!call.request.route.hedge || ttftMs.count < leastSamples) return null;
  return ttftMs.percentiles(lateShare)[0] ?? null;
}

/** @throws the signal's reason when the call's own aborts */
export async function attemptHedged(
  parts: CallParts,
  call: ModelCall,
  { afterMs, ...attempt }: Attempted & { readonly afterMs: number },
): Promise<AttemptOutcome> {
  const race = new Race(attempt.onDelta);
  const start = (runner: Runner, candidate: Candidate): Promise<AttemptOutcome> => {
    const options = { ...attempt, candidate, signal: AbortSignal.any([call.signal, runner.stop.signal]) };
    const { onFirstToken, onDelta } = race.listen(runner);
    return attemptCandidate(parts, call, { ...options, onFirstToken, onDelta }).then((outcome) => {
      // An answer without a token is one, too.
      if ("reply" in outcome) race.claim(runner);
      return outcome;
    });
  };
  let second: Promise<PromiseSettledResult<AttemptOutcome>> | null = null;
  const cancel = parts.clock.timer(Math.ceil(afterMs), () => {
    if (race.isDecided) return;
    const candidate = standIn(parts, call, attempt.candidate);
    if (candidate === null) return;
    parts.records.of(candidate.model).attempts.hedged += 1;
    second = settled(start(race.second, candidate));
  });
  const first = await settled(start(race.first, attempt.candidate));
  cancel();
  const other = await (second as Promise<PromiseSettledResult<AttemptOutcome>> | null);
  if (other === null) return valueOf(first);
  const winner = race.winner === null ? "nobody" : race.winner === race.first ? "first" : "second";
  parts.observer.hedged(attempt.candidate.model, winner);
  return valueOf(winner === "second" ? other : first);
}

/** Who is asked the second time; null: the budget for repeats is used up, or there is nobody. */
function standIn({ records }: CallParts, { plan }: ModelCall, candidate: Candidate): Candidate | null {
  const others = plan.order.filter((each) => each !== candidate && each.rank === candidate.rank);
  const found = [...others, candidate].find(({ model }) => records.of(model).breaker.admits);
  return found !== undefined && records.of(candidate.model).retries.take() ? found : null;
}

interface Runner {
  readonly stop: AbortController;
}

class Race {
  readonly first: Runner = { stop: new AbortController() };
  readonly second: Runner = { stop: new AbortController() };
  readonly #onDelta: (delta: Delta) => void;
  winner: Runner | null = null;

  constructor(onDelta: (delta: Delta) => void) {
    this.#onDelta = onDelta;
  }

  get isDecided(): boolean {
    return this.winner !== null;
  }

  claim(runner: Runner): void {
    if (this.winner !== null) return;
    this.winner = runner;
    (runner === this.first ? this.second : this.first).stop.abort(new HedgeLost());
  }

  listen(runner: Runner): Pick<AttemptOptions, "onFirstToken" | "onDelta"> {
    return {
      onFirstToken: () => this.claim(runner),
      onDelta: (delta) => {
        if (this.winner === runner) this.#onDelta(delta);
      },
    };
  }
}

async function settled<T>(promise: Promise<T>): Promise<PromiseSettledResult<T>> {
  const [result] = await Promise.allSettled([promise]);
  return result;
}

function valueOf<T>(result: PromiseSettledResult<T>): T {
  if (result.status === "rejected") throw result.reason;
  return result.value;
}
