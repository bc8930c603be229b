/** Reading journals, and keeping the text of turns in flight. */
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

/** How much there is of the text of a turn in flight. */
export interface PartialText {
  readonly taskId: string;
  readonly turn: { readonly afterSeq: number; readonly epoch: number; readonly attempt: number };
  readonly text: string;
}

/**
 * Replaces the texts of several tasks, but for those of a later attempt; an empty text removes its row. A worker that has
 * lost a task leaves the text of its call there: who takes over charges the call as far as that shows.
 */
export function savePartialsStatement(partials: readonly PartialText[]): Statement {
  return {
    name: "save_partials",
    text: `with input as (
             select * from jsonb_to_recordset($1::jsonb) as i(
               task_id uuid, after_seq int, epoch int, attempt int, text text)
           ), cleared as (
             delete from partial p using input i
             where p.task_id = i.task_id and i.text = '' and (p.epoch, p.attempt) <= (i.epoch, i.attempt)
               and not exists (select from task t where t.id = i.task_id and t.lost_epoch >= i.epoch)
           )
           insert into partial (task_id, after_seq, epoch, attempt, text)
           select task_id, after_seq, epoch, attempt, text from input where text <> ''
           on conflict (task_id) do update
           set after_seq = excluded.after_seq, epoch = excluded.epoch, attempt = excluded.attempt,
             text = excluded.text, updated_at = holdfast_now()
           where (partial.epoch, partial.attempt) <= (excluded.epoch, excluded.attempt)`,
    values: [encodeJson(partials.map(toRow))],
  };
}

/** Rows are `{text}`: of the turn in flight after an entry, as far as it was saved. */
export function partialStatement(taskId: string, afterSeq: number): Statement {
  return { text: "select text from partial where task_id = $1 and after_seq = $2", values: [taskId, afterSeq] };
}

function toRow({ taskId, turn: { afterSeq, epoch, attempt }, text }: PartialText): Record<string, unknown> {
  return { task_id: taskId, after_seq: afterSeq, epoch, attempt, text };
}
