/**
 * How well agents fit a prompt by its meaning: the cosine of its vector and theirs, by an embedding model. The agents'
 * vectors are asked for once in a process.
 *
 * Somebody waits for the task to be accepted: it takes a few seconds at most, and a model that has just failed is left alone
 * for a while.
 */
import type { Usage } from "../../agent/conversation.ts";
import type { AgentScore } from "../../agent/journal.ts";
import type { EmbeddingGateway, EmbeddingReply } from "../../gateway/embeddings/embedding-gateway.ts";
import type { Clock } from "../../platform/clock.ts";
import { HoldfastError, messageOf } from "../../platform/errors.ts";
import type { AgentProfile } from "./agent-profile.ts";

export interface VectorScoreDeps {
  readonly embeddings: EmbeddingGateway;
  /** `provider/model`. */
  readonly model: string;
  readonly clock: Clock;
}

export interface VectorScores {
  readonly scores: readonly AgentScore[];
  /** What the vector of the prompt took. */
  readonly usage: Usage;
}

const longestMs = 3_000;
const restMs = 15_000;

type Vector = readonly number[];

interface AskedBy {
  readonly tenant: string;
  readonly signal: AbortSignal;
}

/**
 * @returns a function that rejects if the model cannot be asked, or was not answering a moment ago; it tells what the vectors
 *   of the agents took, where it asked for them
 */
export function createVectorScores(
  deps: VectorScoreDeps,
  profiles: readonly AgentProfile[],
): (asked: { prompt: string; tenant: string }, onAgents: (usage: Usage) => void) => Promise<VectorScores> {
  const { clock } = deps;
  let agents: Promise<readonly Vector[]> | undefined;
  let rest: { readonly until: number; readonly why: string } | undefined;

  const askForAgents = async (by: AskedBy, onAgents: (usage: Usage) => void): Promise<readonly Vector[]> => {
    const texts = profiles.map(({ text }) => text);
    try {
      const { vectors, usage } = await embed(deps, texts, by);
      onAgents(usage);
      return vectors;
    } catch (error) {
      // Whoever comes next asks anew.
      agents = undefined;
      throw error;
    }
  };

  return async ({ prompt, tenant }, onAgents) => {
    if (rest !== undefined && clock.monotonic() < rest.until) throw notAnswering(rest.why);
    const late = new AbortController();
    const cancelTimer = clock.timer(longestMs, () => late.abort(notAnswering(`no answer within ${longestMs} ms`)));
    const by = { tenant, signal: late.signal };
    try {
      // Together they go to the provider as one call.
      const [mine, theirs] = await Promise.all([embed(deps, [prompt], by), (agents ??= askForAgents(by, onAgents))]);
      rest = undefined;
      const scores = profiles.map(({ agent }, index) => ({ agent, score: cosine(mine.vectors[0]!, theirs[index]!) }));
      return { scores, usage: mine.usage };
    } catch (error) {
      rest = { until: clock.monotonic() + restMs, why: messageOf(error) };
      throw error;
    } finally {
      cancelTimer();
    }
  };
}

async function embed(
  { embeddings, model }: VectorScoreDeps,
  texts: readonly string[],
  by: AskedBy,
): Promise<EmbeddingReply> {
  const reply = await embeddings.embed({ model, texts, ...by });
  if (reply.vectors.length === texts.length && reply.vectors.every((vector) => vector.length > 0)) return reply;
  throw notAnswering("it gave no vector for each text");
}

function notAnswering(why: string): HoldfastError {
  return new HoldfastError("model_unavailable", why, { retry: { afterMs: restMs } });
}

/** -1 to 1; 0 for vectors that have no direction, or cannot be compared. */
export function cosine(one: Vector, other: Vector): number {
  if (one.length !== other.length) return 0;
  let product = 0;
  let length = 0;
  let otherLength = 0;
  for (const [index, value] of one.entries()) {
    const opposite = other[index]!;
    product += value * opposite;
    length += value * value;
    otherLength += opposite * opposite;
  }
  const cosineOfBoth = product / Math.sqrt(length * otherLength);
  return Number.isFinite(cosineOfBoth) ? Math.max(-1, Math.min(1, cosineOfBoth)) : 0;
}
