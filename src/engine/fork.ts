/** A new task from a step of an old one, in a session of its own, with another prompt or model. */
import type { Message } from "../agent/conversation.ts";
import { defaultLimits, type AgentDefinition } from "../agent/definition.ts";
import type { Entry } from "../agent/journal.ts";
import { begin, briefToRead, fold } from "../agent/state.ts";
import type { Hub } from "../events/hub.ts";
import { InvalidInputError } from "../platform/errors.ts";
import type { NewId } from "../platform/ids.ts";
import type { Clock } from "../platform/clock.ts";
import type { Store } from "../store/store.ts";
import type { TaskRow } from "../store/task-row.ts";
import { resultOf, type AgentResult } from "./agent-result.ts";
import type { Backlog } from "./backlog.ts";
import { exchangesBefore, shownOf } from "./conversations.ts";
import { findTask, type TaskAddress } from "./watch.ts";

export interface Fork {
  /** The last model turn (with its tools) to keep, from 1; 0: none; null: all that are whole. */
  readonly step: number | null;
  readonly prompt: string | null;
  readonly model: readonly string[] | null;
}

export interface ForkDeps {
  readonly store: Store;
  readonly hub: Hub;
  readonly newId: NewId;
  readonly clock: Clock;
  readonly agents: ReadonlyMap<string, AgentDefinition>;
  readonly backlog: Backlog;
}

/** @throws NotFoundError; InvalidInputError `no_such_step`; UnavailableError `queue_full`, `tenant_queue_full`, `agent_queue_full` */
export async function forkTask(deps: ForkDeps, address: TaskAddress, fork: Fork): Promise<AgentResult> {
  const { store, hub, newId } = deps;
  const { tenant, taskId } = address;
  const original = await findTask(deps, address);
  const entries = (await store.journals([taskId])).get(taskId) ?? [];
  const steps = wholeSteps(entries);
  const step = fork.step ?? steps.ends.length;
  const upToSeq = step === 0 ? steps.begin : steps.ends[step - 1];
  if (upToSeq === undefined) {
    const message = `Task ${taskId} has ${steps.ends.length} whole steps; ${step} is beyond them.`;
    throw new InvalidInputError("no_such_step", message, "/step");
  }
  await deps.backlog.admit(original);
  const id = newId();
  // It is the agent's because the original was: what that choice took is paid for.
  const { assignment: _assignment, ...input } = original.input;
  const task = {
    id,
    tenant,
    sessionId: id,
    agent: original.agent,
    priority: original.priority,
    input: {
      ...input,
      prompt: fork.prompt ?? steps.prompt ?? input.prompt,
      model: fork.model ?? input.model,
      history: await historyOf(deps, original),
    },
    userId: original.userId,
    metadata: original.metadata,
    idempotencyKey: null,
    requestHash: null,
    forkedFrom: taskId,
  };
  await store.fork(task, { from: taskId, afterSeq: steps.begin, upToSeq });
  hub.hint({ type: "work" });
  return resultOf(await findTask(deps, { tenant, taskId: id }), deps);
}

interface Steps {
  /** The journal before this number was made void by a replay with another prompt. */
  readonly begin: number;
  readonly prompt: string | null;
  /**
   * The number of the last entry of each whole step: a model turn with the outcomes of all the calls it asked for, and what
   * the user said to it.
   */
  readonly ends: readonly number[];
}

function wholeSteps(entries: readonly Entry[]): Steps {
  let steps: { begin: number; prompt: string | null; ends: number[] } = { begin: 0, prompt: null, ends: [] };
  let state = begin(briefToRead(""));
  /** Where the last model turn stands; null: there is none since the beginning. */
  let turn: number | null = null;
  for (const entry of entries) {
    state = fold(state, entry);
    if (entry.kind === "model") turn = entry.seq;
    if (entry.kind === "replay" && entry.prompt !== null) {
      steps = { begin: entry.seq, prompt: entry.prompt, ends: [] };
      turn = null;
    }
    if (turn === null || state.calls.some(({ status }) => status !== "done")) continue;
    const hasEnded = (steps.ends.at(-1) ?? 0) > turn;
    // What the user said next belongs to the step: the next model turn answers to both.
    if (entry.kind === "message" && hasEnded) steps.ends.pop();
    if (entry.kind === "message" || (state.calls.length > 0 && !hasEnded)) steps.ends.push(entry.seq);
  }
  return steps;
}

/** What the original was shown of its session, and what it brought along itself if it is a fork. */
async function historyOf({ store, agents }: ForkDeps, original: TaskRow): Promise<Message[]> {
  const { agent, input } = original;
  const limits = { ...(agents.get(agent)?.limits ?? defaultLimits), ...input.limits };
  return [...shownOf(await exchangesBefore(store, original), limits), ...input.history];
}
