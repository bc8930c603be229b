/**
 * The humans who are asked. They answer at any moment, two of them sometimes the same question, and they tell the truth:
 * whether an effect happened stands in the book of the outside, and "try again" is said only when the first try is surely
 * over.
 */
import type { Answer } from "../../src/agent/journal.ts";
import { ConflictError, InvalidInputError } from "../../src/platform/errors.ts";
import type { ApprovalRow } from "../../src/store/reads.ts";
import type { Outside } from "./outside.ts";
import type { Told } from "./told.ts";
import type { Scene } from "./chaos.ts";

export interface Desk extends Scene {
  readonly outside: Outside;
  readonly told: Told;
  readonly tenants: readonly string[];
}

/** Goes on until nobody is needed any more. */
export async function answerQuestions(desk: Desk, isOver: () => boolean): Promise<void> {
  const { world, cluster, faults, tenants } = desk;
  while (!isOver()) {
    await world.sleep(faults.over ? 500 : world.between(200, 2_000));
    const serving = cluster.serving;
    if (serving.length === 0) continue;
    for (const tenant of tenants) {
      const approvals = await cluster
        .request(world.pick(serving), `list approvals of ${tenant}`, ({ engine }) =>
          engine.approvals.list({ tenant, status: "pending", limit: 20 }),
        )
        .catch(() => []);
      await Promise.all(approvals.flatMap((approval) => takeUp(desk, tenant, approval)));
    }
  }
}

function takeUp(desk: Desk, tenant: string, approval: ApprovalRow): Promise<void>[] {
  const { world } = desk;
  const humans = world.chance(0.2) ? ["ann", "bob"] : [world.pick(["ann", "bob"])];
  return humans.map(async (by) => {
    await world.sleep(world.between(0, 30));
    const answer = decisionOn(desk, approval);
    if (answer !== undefined) await give(desk, { tenant, approval, answer, by });
  });
}

async function give(
  { world, cluster, told }: Desk,
  { tenant, approval, answer, by }: { tenant: string; approval: ApprovalRow; answer: Answer; by: string },
): Promise<void> {
  const serving = cluster.serving;
  if (serving.length === 0) return;
  const what = `answer ${approval.kind} ${approval.id.slice(-4)} with ${answer.decision}`;
  try {
    await cluster.request(world.pick(serving), what, ({ engine }) =>
      engine.approvals.answer(tenant, approval.id, { answer, by }),
    );
    told.answers.push({ approvalId: approval.id, answer, by, taken: true });
  } catch (error) {
    if (error instanceof ConflictError) told.answers.push({ approvalId: approval.id, answer, by, taken: false });
    // A process of the old release does not know the tools of the new one, and refuses edited arguments for them.
    if (error instanceof InvalidInputError && error.code !== "invalid_arguments") throw error;
  }
}

/** Undefined: it is too early to tell. */
function decisionOn({ world, outside }: Desk, approval: ApprovalRow): Answer | undefined {
  const input = approval.input as { call?: string };
  switch (approval.kind) {
    case "tool":
      return world.pick<Answer>([
        { decision: "approve" },
        { decision: "approve", comment: "Go on." },
        { decision: "deny", comment: "Not today." },
        { decision: "edit", input: { call: input.call ?? "", approve: true, edited: true } },
      ]);
    case "uncertain": {
      const happened = outside.happened(approval.taskId, input.call ?? "");
      if (happened) return { decision: "succeeded", output: { receipt: happened.receipt } };
      if (outside.mayStillHappen(approval.taskId, input.call ?? "")) return undefined;
      return world.pick<Answer>([{ decision: "retry" }, { decision: "failed", comment: "It did not happen." }]);
    }
    case "limit":
      return world.pick<Answer>([{ decision: "continue", advice: "", limits: {} }, { decision: "end" }]);
    case "stutter":
      return world.pick<Answer>([
        { decision: "continue", advice: "", limits: {} },
        { decision: "continue", advice: "Stop it.", limits: {} },
        { decision: "end" },
      ]);
  }
}
