/**
 * The human of the chaos run: answers what became of a `once` call whose worker was lost, truthfully, by the ledger.
 *
 * Whoever answers must know that the call is over: a process that stands still, or whose lease was taken while it lives, may
 * make it yet. So the human waits until no process stands still and the question is old enough for any call to have ended.
 */
import type { Approval, Client } from "../../src/client/index.ts";
import type { Clock } from "../../src/platform/clock.ts";
import type { Random } from "../../src/platform/random.ts";
import { failureOf, untilAnswered } from "./clients.ts";
import type { Ledger } from "./ledger.ts";

interface HumanDeps {
  readonly client: Client;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly random: Random;
  /** Whether a process stands still. */
  readonly isStill: () => boolean;
}

export interface Answered {
  readonly approvalId: string;
  readonly taskId: string;
  readonly callId: string;
  readonly decision: "succeeded" | "failed" | "retry";
}

/** No call of a tool takes so long. */
const callIsOverMs = 2_000;
const lookEveryMs = 300;

export interface Human {
  readonly answers: readonly Answered[];
  /** Rejects when something was asked that no fault explains. */
  readonly failed: Promise<never>;
  stop(): Promise<void>;
}

export function startHuman(deps: HumanDeps): Human {
  const { client, clock } = deps;
  const answers: Answered[] = [];
  const enough = new AbortController();
  const firstSeen = new Map<string, number>();
  const working = (async () => {
    while (!enough.signal.aborted) {
      const page = await untilAnswered(clock, enough.signal, () => client.approvals({ status: "pending", limit: 200 }));
      for (const approval of page?.items ?? []) {
        if (deps.isStill()) firstSeen.delete(approval.id);
        const seenAt = firstSeen.get(approval.id) ?? clock.monotonic();
        firstSeen.set(approval.id, seenAt);
        if (clock.monotonic() - seenAt < callIsOverMs) continue;
        const answer = await answerTruly(deps, approval, enough.signal);
        if (answer !== undefined) answers.push(answer);
      }
      await clock.sleep(lookEveryMs, enough.signal).catch(() => undefined);
    }
  })();
  return {
    answers,
    failed: failureOf(working),
    async stop() {
      enough.abort();
      await working;
    },
  };
}

/** Undefined: somebody was faster, or the run is over. */
async function answerTruly(
  { client, ledger, clock, random }: HumanDeps,
  { id, kind, task_id: taskId, call_id: callId }: Approval,
  signal: AbortSignal,
): Promise<Answered | undefined> {
  if (kind !== "uncertain" || callId === null) throw new Error(`The run asks no question of the kind ${kind}.`);
  const happened = ledger.effects().some(({ task, call }) => task === taskId && call === callId);
  const decision = happened ? "succeeded" : random() < 0.25 ? "failed" : "retry";
  const body = { decision, ...(happened && { output: { done: callId } }), by: "human" } as const;
  const kept = await untilAnswered(clock, signal, async () => {
    try {
      return await client.answer(id, body);
    } catch (error) {
      // The answer to the first attempt may be what was lost.
      const now = await client.approval(id);
      if (now.status !== "answered") throw error;
      return now;
    }
  });
  return kept?.answer?.decision === decision ? { approvalId: id, taskId, callId, decision } : undefined;
}
