/** Reading journals, and the partial text of turns in flight. */
import type { Statement } from "../database.ts";
import { encodeJson } from "../json.ts";

/** Rows are `EntryRow`, of several tasks, in order. */
export function journalsStatement(taskIds: readonly string[]): Statement {
  return {
    name: "journals",
    text: `select task_id as "taskId", seq, at, kind, body from entry
           where task_id = any($1::uuid[]) order by task_id, seq`,
    values: [taskIds],
  };
}

/** Rows are `EntryRow`, after `afterSeq`, at most `limit`. Joined to the task so that a tenant sees only its own. */
export function journalStatement(page: { tenant: string; taskId: string; afterSeq: number; limit: number }): Statement {
  return {
    name: "journal",
    text: `select e.task_id as "taskId", e.seq, e.at, e.kind, e.body
           from task t join entry e on e.task_id = t.id
           where t.tenant = $1 and t.id = $2 and e.seq > $3 order by e.seq limit $4`,
    values: [page.tenant, page.taskId, page.afterSeq, page.limit],
  };
}

export interface EntryRow {
  readonly taskId: string;
  readonly seq: number;
  readonly at: number;
  readonly kind: string;
  readonly body: Record<string, unknown>;
}

/** Copies a stretch of a journal to the beginning of a fork's. Epoch 0: written before anyone held the task. */
export function copyJournalStatement(copy: { from: string; to: string; afterSeq: number; upToSeq: number }): Statement {
  return {
    text: `insert into entry (task_id, seq, epoch, kind, at, body)
           select $2, seq - $3, 0, kind, at, body from entry where task_id = $1 and seq > $3 and seq <= $4`,
    values: [copy.from, copy.to, copy.afterSeq, copy.upToSeq],
  };
}

/** Replaces the partial texts of several tasks; an empty text removes its row. */
export function savePartialsStatement(partials: readonly { taskId: string; text: string }[]): Statement {
  return {
    name: "save_partials",
    text: `with input as (
             select * from jsonb_to_recordset($1::jsonb) as i(task_id uuid, text text)
           ), cleared as (
             delete from partial p using input i where p.task_id = i.task_id and i.text = ''
           )
           insert into partial (task_id, text)
           select task_id, text from input where text <> ''
           on conflict (task_id) do update set text = excluded.text, updated_at = holdfast_now()`,
    values: [encodeJson(partials.map(({ taskId, text }) => ({ task_id: taskId, text })))],
  };
}

export function partialStatement(taskId: string): Statement {
  return { text: "select text from partial where task_id = $1", values: [taskId] };
}
