/** How tasks that name no agent are assigned to one, as the configuration says. */
import { modelPattern } from "../../agent/route.ts";
import { InvalidInputError } from "../../platform/errors.ts";

export interface AssignmentOptions {
  /** The embedding model that compares meanings, `provider/model`; without one words are compared. */
  readonly embeddings?: string | ({ readonly model: string } & Partial<Thresholds>);
  /** Of the comparison by words, which also stands in for an embedding model that cannot be reached. */
  readonly words?: Partial<Thresholds>;
  /** The agent of tasks that fit none, or several equally well. Default: they are refused. */
  readonly otherwise?: string;
}

export interface Thresholds {
  /** What the best agent must score; 0 to 1. */
  readonly leastScore: number;
  /** How far it must be ahead of the next; 0 to 1. */
  readonly leastLead: number;
}

export interface AssignmentRules {
  readonly embeddings: ({ readonly model: string } & Thresholds) | null;
  readonly words: Thresholds;
  readonly otherwise: string | null;
}

/** A word of the description that is shared passes, one of the instructions alone does not. */
const wordThresholds: Thresholds = { leastScore: 0.3, leastLead: 0.1 };
/** Cosines of texts that have to do with each other are above it with most models, and lie close together. */
const vectorThresholds: Thresholds = { leastScore: 0.2, leastLead: 0.02 };

/**
 * @returns null: tasks must name their agent
 * @throws InvalidInputError `invalid_config` with the path of what is wrong
 */
export function assignmentRules({
  assignment = false,
  agents,
}: {
  readonly assignment?: boolean | AssignmentOptions;
  readonly agents: readonly { readonly name: string }[];
}): AssignmentRules | null {
  if (assignment === false) return null;
  const { embeddings, words = {}, otherwise = null } = assignment === true ? {} : assignment;
  if (otherwise !== null && !agents.some(({ name }) => name === otherwise)) {
    throw invalid("otherwise", otherwise, "must be the name of one of the agents");
  }
  const vectors = typeof embeddings === "string" ? { model: embeddings } : embeddings;
  if (vectors !== undefined && !modelPattern.test(vectors.model)) {
    throw invalid("embeddings", vectors.model, 'must be "provider/model"');
  }
  return {
    embeddings: vectors === undefined ? null : thresholds("embeddings", { ...vectorThresholds, ...vectors }),
    words: thresholds("words", { ...wordThresholds, ...words }),
    otherwise,
  };
}

function thresholds<Given extends Thresholds>(group: string, given: Given): Given {
  for (const name of ["leastScore", "leastLead"] as const) {
    const value = given[name];
    if (!(value >= 0 && value <= 1)) throw invalid(`${group}/${name}`, value, "must be 0 to 1");
  }
  return given;
}

function invalid(path: string, value: unknown, rule: string): InvalidInputError {
  const pointer = `/assignment/${path}`;
  return new InvalidInputError("invalid_config", `${pointer} is ${JSON.stringify(value)}, but ${rule}.`, pointer);
}
