/**
 * A model turn that goes through the provider's batch API: it is journaled under an id, written down for the batch keeper,
 * and waited for, holding no worker. Whoever wakes the task, or takes it over, looks first at what has become of it.
 */
import { deadlineOf } from "../agent/decide.ts";
import type { EntryBody } from "../agent/journal.ts";
import type { ModelRoute } from "../agent/route.ts";
import type { State } from "../agent/state.ts";
import type { DeferredCalls, DeferredExchange } from "../gateway/deferred/deferred-calls.ts";
import type { ModelReply } from "../gateway/model-gateway.ts";
import { HoldfastError } from "../platform/errors.ts";
import type { NewId } from "../platform/ids.ts";
import type { ClaimedTask } from "../store/task-row.ts";
import type { Step } from "./program.ts";

export interface DeferredTurns {
  /** The next step of the turn; undefined: the model is called as ever. */
  next(state: State, now: number, turn: TurnCalls): Step | undefined;
  /** Whether the model is not called by this process, so that nothing is lost with it. */
  applies(state: State, now: number): boolean;
}

/** What the agent program does for a turn. */
export interface TurnCalls {
  readonly request: () => DeferredExchange["request"];
  readonly call: Extract<Step, { type: "effect" }>["run"];
  readonly toEntry: (reply: ModelReply) => EntryBody;
}

export interface DeferredTurnsDeps {
  readonly calls: DeferredCalls | undefined;
  readonly newId: NewId;
  readonly task: Pick<ClaimedTask, "id" | "tenant" | "createdAt" | "input">;
  readonly route: ModelRoute;
}

export function deferredTurns({ calls, newId, task, route }: DeferredTurnsDeps): DeferredTurns {
  const { deferred: deferral } = task.input;
  if (deferral === undefined || calls === undefined) return { next: () => undefined, applies: () => false };
  const until = task.createdAt + deferral.withinMs;
  const model = calls.modelOf(route);
  // What was looked at since the task was claimed: it may wait now.
  const seen = new Set<string>();

  const look = async (callId: string, askedOf: string, turn: TurnCalls) => {
    const { id: taskId, tenant } = task;
    const found = await calls.exchange({ id: callId, taskId, tenant, model: askedOf, until, request: turn.request() });
    if (found === "waiting") seen.add(callId);
    return found;
  };
  return {
    applies: (state, now) => state.deferred !== null || (model !== null && now < until),
    next(state, now, turn) {
      const pending = state.deferred;
      if (pending === null && now >= until)
        return deferral.otherwise === "call" ? undefined : expired(deferral.withinMs);
      if (pending === null) {
        if (model === null) return undefined;
        const entry: EntryBody = { kind: "deferred", callId: newId(), model, until };
        return { type: "effect", onlyReads: true, run: () => Promise.resolve([entry]) };
      }
      const { callId } = pending;
      if (seen.has(callId) && now < until) {
        return { type: "park", entries: [], until: Math.min(until, deadlineOf(state)) };
      }
      return {
        type: "effect",
        onlyReads: false,
        async run(context) {
          const found = await look(callId, pending.model, turn);
          if (found === "waiting") return [];
          if (found !== "given_up") return [turn.toEntry(found)];
          if (deferral.otherwise === "call") return turn.call(context);
          throw new HoldfastError("deferred_expired", expiredMessage(deferral.withinMs), { retry: "never" });
        },
      };
    },
  };
}

function expired(withinMs: number): Step {
  return { type: "end", status: "failed", error: "deferred_expired", message: expiredMessage(withinMs) };
}

function expiredMessage(withinMs: number): string {
  return `The provider's batch API brought no answer within ${withinMs} ms. Retry the task, or submit it without \`deferred\`.`;
}
