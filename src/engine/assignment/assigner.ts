/**
 * Chooses the agent of a task whose sender named none, where several run here.
 *
 *   a session that has had a task     → the agent of its last one: a conversation goes on with whom it was begun
 *   an embedding model is configured  → the agent whose profile means what the prompt does (vector-scores.ts)
 *   none is, or it cannot be reached  → the agent that shares the most telling words with it (word-scores.ts)
 *   nobody fits, or two equally well  → the agent `otherwise`; without one the task is refused, with all the scores
 *
 * What was chosen and why goes with the task into its journal. Only agents that some worker runs can be chosen.
 */
import type { ToolSpec, Usage } from "../../agent/conversation.ts";
import type { AgentDefinition } from "../../agent/definition.ts";
import type { AgentScore, Assignment } from "../../agent/journal.ts";
import type { Prices } from "../../gateway/cost.ts";
import type { EmbeddingGateway } from "../../gateway/embeddings/embedding-gateway.ts";
import type { Clock } from "../../platform/clock.ts";
import { assert, InvalidInputError, messageOf } from "../../platform/errors.ts";
import type { NewId } from "../../platform/ids.ts";
import type { UsageRow } from "../../store/queries/usage.ts";
import { gistOf, profileOf } from "./agent-profile.ts";
import { assignmentRules, type AssignmentRules, type Thresholds } from "./assignment-rules.ts";
import { createHostedAgents, type HostedAgentDeps } from "./hosted-agents.ts";
import { createVectorScores } from "./vector-scores.ts";
import { createWordScores } from "./word-scores.ts";

export interface AssignerDeps {
  readonly rules: AssignmentRules;
  readonly agents: ReadonlyMap<string, AgentDefinition>;
  readonly tools: { specs(references: readonly string[]): readonly ToolSpec[] };
  readonly embeddings: EmbeddingGateway;
  readonly prices: Prices;
  readonly store: HostedAgentDeps["store"] & {
    agentOfSession(tenant: string, sessionId: string): Promise<string | undefined>;
    recordUsage(rows: readonly UsageRow[]): Promise<void>;
  };
  readonly clock: Clock;
  readonly newId: NewId;
  readonly log: { warn(fields: object, message: string): void };
  readonly metrics: { taskAssigned(method: Assignment["method"] | "refused"): void };
}

export interface Unassigned {
  readonly tenant: string;
  readonly prompt: string;
  readonly sessionId: string | undefined;
}

export interface Assigner {
  /** @throws NoAgentFitsError */
  assign(task: Unassigned): Promise<Assignment>;
}

/** Nobody fits, or several do equally well, and the configuration names nobody for that. */
export class NoAgentFitsError extends InvalidInputError {
  /** The best first. */
  readonly candidates: readonly AgentScore[];

  constructor(why: string, candidates: readonly AgentScore[]) {
    const names = candidates.map(({ agent, score }) => `${agent} (${score})`).join(", ");
    super("no_agent_fits", `It is not clear whose task this is: ${why}. Name one of: ${names}.`, "/agent");
    this.name = "NoAgentFitsError";
    this.candidates = candidates;
  }
}

interface Compared {
  readonly method: "embeddings" | "words";
  readonly thresholds: Thresholds;
  readonly scores: readonly AgentScore[];
  /** Why it was not compared as the configuration says; empty: it was. */
  readonly note: string;
  /** The embedding model and what it took. */
  readonly took: Pick<Assignment, "model" | "usage" | "costMicros">;
}

/** The journal tells of so many. */
const mostScores = 10;

/** As the configuration says; undefined: tasks must name their agent, or there is only one. */
export function openAssigner({
  config,
  ...deps
}: Omit<AssignerDeps, "rules"> & { readonly config: Parameters<typeof assignmentRules>[0] }): Assigner | undefined {
  const rules = assignmentRules(config);
  return rules === null || deps.agents.size < 2 ? undefined : createAssigner({ ...deps, rules });
}

export function createAssigner(deps: AssignerDeps): Assigner {
  const { rules, agents, store, metrics } = deps;
  const profiles = [...agents.values()].map((agent) => profileOf(agent, deps.tools.specs(agent.tools)));
  const hosted = createHostedAgents(deps, [...agents.keys()]);
  const compare = comparison(deps, profiles);

  return {
    async assign({ tenant, prompt, sessionId }) {
      const before = sessionId === undefined ? undefined : await store.agentOfSession(tenant, sessionId);
      if (before !== undefined && agents.has(before)) {
        metrics.taskAssigned("session");
        return {
          agent: before,
          method: "session",
          reason: "the last task of its session was this agent's",
          scores: [],
        };
      }
      const [among, compared] = await Promise.all([hosted(), compare(gistOf(prompt), tenant)]);
      const scores = ranked(compared.scores.filter(({ agent }) => among.includes(agent)));
      const { fits, why } = pick(scores, compared.thresholds);
      const reason = compared.note === "" ? why : `${why}; ${compared.note}`;
      const common = { scores: scores.slice(0, mostScores), ...compared.took };
      if (fits === null && rules.otherwise === null) {
        metrics.taskAssigned("refused");
        recordApart(deps, tenant, compared.took);
        throw new NoAgentFitsError(reason, common.scores);
      }
      const method = fits === null ? "otherwise" : compared.method;
      metrics.taskAssigned(method);
      const agent = fits ?? rules.otherwise;
      assert(agent !== null, "somebody fits, or there is somebody otherwise");
      return { agent, method, reason, ...common };
    },
  };
}

/** Never rejects: words can be compared whatever happens. */
function comparison(deps: AssignerDeps, profiles: readonly ReturnType<typeof profileOf>[]) {
  const { rules, embeddings, prices, clock } = deps;
  const wordScores = createWordScores(profiles);
  const byWords = (prompt: string, note: string): Compared => {
    return { method: "words", thresholds: rules.words, scores: wordScores(prompt), note, took: {} };
  };
  const vectors = rules.embeddings;
  if (vectors === null) return async (prompt: string) => byWords(prompt, "");
  const { model } = vectors;
  const costOf = (usage: Usage): number | null => prices.costMicros(model, usage, { at: clock.now() });
  const vectorScores = createVectorScores({ embeddings, model, clock }, profiles);
  return async (prompt: string, tenant: string): Promise<Compared> => {
    const tookOf = (usage: Usage) => ({ model, usage, costMicros: costOf(usage) });
    try {
      const { scores, usage } = await vectorScores({ prompt, tenant }, (used) =>
        recordApart(deps, tenant, tookOf(used)),
      );
      const took = tookOf(usage);
      return { method: "embeddings", thresholds: vectors, scores, note: "", took };
    } catch (error) {
      return byWords(prompt, `compared by words, as ${model} could not be asked: ${messageOf(error)}`);
    }
  };
}

/** In the ledger, but as no task's. Whoever waits for an agent does not wait for it. */
function recordApart(
  { store, clock, newId, log }: AssignerDeps,
  tenant: string,
  { model, usage, costMicros = null }: Compared["took"],
): void {
  if (model === undefined || usage === undefined) return;
  const owner = { tenant, agent: null, sessionId: null, userId: null, keyId: null };
  store
    .recordUsage([{ id: newId(), model, code: null, at: clock.now(), usage, costMicros, ...owner }])
    .catch((error: unknown) => log.warn({ error: messageOf(error) }, "a call for embeddings is not accounted for"));
}

/** The best first, as they are told: of equal ones the first that is configured. */
function ranked(scores: readonly AgentScore[]): AgentScore[] {
  return scores
    .map(({ agent, score }) => ({ agent, score: thousandths(score) }))
    .toSorted((one, other) => other.score - one.score);
}

function thousandths(score: number): number {
  return Math.round(score * 1_000) / 1_000;
}

/** @param scores the best first */
export function pick(
  [best, next]: readonly AgentScore[],
  { leastScore, leastLead }: Thresholds,
): { readonly fits: string | null; readonly why: string } {
  if (best === undefined) return { fits: null, why: "there is nobody to choose" };
  const told = `${best.agent} has ${best.score}`;
  if (best.score <= 0 || best.score < leastScore)
    return { fits: null, why: `nobody fits well enough: ${told}, of ${leastScore}` };
  if (next === undefined) return { fits: best.agent, why: told };
  const both = `${told}, ${next.agent} ${next.score}`;
  const lead = thousandths(best.score - next.score);
  if (lead > 0 && lead >= leastLead) return { fits: best.agent, why: `it fits best: ${both}` };
  return { fits: null, why: `several fit equally well: ${both}` };
}
