/** Questions to humans and their answers. An answer fits its question, or it is refused and nothing changes. */
import type { Answer, CallPlan, QuestionKind } from "../agent/journal.ts";
import type { Hub } from "../events/hub.ts";
import { ConflictError, InvalidInputError, NotFoundError } from "../platform/errors.ts";
import type { ApprovalRow } from "../store/reads.ts";
import type { Store } from "../store/store.ts";
import type { ApprovalFilter } from "../store/queries/approvals.ts";
import type { ToolRunner } from "../tools/tool-runner.ts";

export interface ApprovalsDeps {
  readonly store: Store;
  readonly hub: Hub;
  readonly tools: ToolRunner;
}

type Edit = Answer & { decision: "edit" };

const decisionsFor: Record<QuestionKind, readonly Answer["decision"][]> = {
  tool: ["approve", "deny", "edit"],
  uncertain: ["succeeded", "failed", "retry"],
  limit: ["continue", "end"],
  stutter: ["continue", "end"],
};

export function createApprovals(deps: ApprovalsDeps) {
  const { store, hub } = deps;

  /** @throws NotFoundError `approval_not_found` */
  const find = async (tenant: string, id: string): Promise<ApprovalRow> => {
    const approval = await store.approval(tenant, id);
    if (approval === undefined) throw new NotFoundError("approval_not_found", `There is no approval ${id}.`);
    return approval;
  };

  return {
    find,
    list: (filter: ApprovalFilter): Promise<ApprovalRow[]> => store.approvals(filter),

    /**
     * Answers a question; its task goes on when all its questions are answered.
     * @throws NotFoundError; ConflictError `approval_answered`; InvalidInputError `invalid_decision`, `invalid_arguments`
     */
    async answer(tenant: string, id: string, { answer, by }: { answer: Answer; by: string }): Promise<ApprovalRow> {
      const approval = await find(tenant, id);
      if (approval.status !== "pending") throw alreadyAnswered(approval);
      const allowed = decisionsFor[approval.kind];
      if (!allowed.includes(answer.decision)) {
        const message = `A question of kind "${approval.kind}" is answered with one of: ${allowed.join(", ")}.`;
        throw new InvalidInputError("invalid_decision", message, "/decision");
      }
      const checked = answer.decision === "edit" ? await checkEdit(deps, approval, answer) : answer;
      const { taskId } = approval;
      if (!(await store.answer({ tenant, approvalId: id, taskId, answer: checked, by }))) {
        throw alreadyAnswered(await find(tenant, id));
      }
      hub.changed(taskId);
      hub.hint({ type: "work" });
      return find(tenant, id);
    },
  };
}

function alreadyAnswered({ id, status, answeredBy }: ApprovalRow): ConflictError {
  const what =
    status === "answered" ? `was answered by ${answeredBy ?? "somebody"}` : "is withdrawn: its task has ended";
  return new ConflictError("approval_answered", `Approval ${id} ${what}.`);
}

/** The edited arguments must fit the very version of the tool that the call was planned with. */
async function checkEdit({ store, tools }: ApprovalsDeps, approval: ApprovalRow, edit: Edit): Promise<Answer> {
  const plan = await planOf(store, approval);
  const checked = tools.check({ tool: approval.tool ?? "", version: plan?.version ?? "" }, edit.input);
  if (!checked.ok) throw new InvalidInputError("invalid_arguments", checked.message, "/input");
  return { ...edit, input: checked.input };
}

async function planOf(store: Store, approval: ApprovalRow): Promise<CallPlan | undefined> {
  const entries = (await store.journals([approval.taskId])).get(approval.taskId) ?? [];
  const turn = entries.findLast((entry) => entry.kind === "model");
  return turn?.calls.find(({ id }) => id === approval.callId);
}
