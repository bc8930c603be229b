/** Reading approvals. They are made by park.ts and answered by control.ts. */
import type { Statement } from "../database.ts";

const columns = `
  id, task_id as "taskId", agent, kind, call_id as "callId", tool, input, large, input_hash as "inputHash", reason, status,
  answer, answered_by as "answeredBy", created_at as "createdAt", answered_at as "answeredAt", expires_at as "expiresAt"`;

/** Rows are `ApprovalRow`. */
export function approvalStatement(tenant: string, id: string): Statement {
  return { text: `select ${columns} from approval where tenant = $1 and id = $2`, values: [tenant, id] };
}

export interface ApprovalFilter {
  readonly tenant: string;
  readonly status: "pending" | "answered" | "cancelled";
  readonly taskId?: string | undefined;
  readonly after?: string | undefined;
  readonly limit: number;
}

/** Oldest first: who waits longest is on top. Rows are `ApprovalRow`. */
export function approvalsStatement({ tenant, status, taskId, after, limit }: ApprovalFilter): Statement {
  return {
    text: `select ${columns} from approval
           where tenant = $1 and status = $2 and ($3::uuid is null or task_id = $3) and ($4::uuid is null or id > $4)
           order by id limit $5`,
    values: [tenant, status, taskId ?? null, after ?? null, limit],
  };
}
