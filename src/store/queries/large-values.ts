/**
 * Values too large for the journal, by the hash of their content: the same value is kept once. What a task refers to is
 * kept at least as long as the task; see retention.ts for how the rest is deleted.
 *
 * Lock order: values by (tenant, hash), and only then sessions and tasks.
 */
import type { Statement } from "../database.ts";

export interface LargeContent {
  readonly tenant: string;
  /** SHA-256 of `content`, in hex. */
  readonly hash: string;
  /** JSON text. */
  readonly content: string;
}

/** A value of a task that is stored already, so that its tenant need not be said. */
export interface TaskContent extends Omit<LargeContent, "tenant"> {
  readonly taskId: string;
  readonly tenant: string | null;
}

/** A task needs a value. */
export interface LargeReference {
  readonly taskId: string;
  readonly hash: string;
}

/**
 * Of a value that is there the row is locked, so that it cannot be deleted before what refers to it has committed. That it
 * is used is written down once an hour, which is often enough for one that goes after a day.
 */
export function keepLargeStatement(contents: readonly TaskContent[]): Statement {
  // Each text once: the same may be part of several tasks. And no row may be met twice by one statement of this kind.
  const texts = [...new Map(contents.map(({ hash, content }) => [hash, content]))];
  return {
    name: "keep_large",
    text: `insert into large_value as v (tenant, hash, content)
           select distinct on (1, 2) coalesce(i.tenant, t.tenant) collate "C", i.hash collate "C", c.content
           from unnest($1::uuid[], $2::text[], $3::text[]) as i(task_id, tenant, hash)
           join unnest($4::text[], $5::text[]) as c(hash, content) on c.hash = i.hash
           left join task t on t.id = i.task_id
           where i.tenant is not null or t.id is not null
           order by 1, 2
           on conflict (tenant, hash) do update set used_at = excluded.used_at
             where v.used_at < excluded.used_at - interval '1 hour'`,
    values: [
      contents.map(({ taskId }) => taskId),
      contents.map(({ tenant }) => tenant),
      contents.map(({ hash }) => hash),
      texts.map(([hash]) => hash),
      texts.map(([, content]) => content),
    ],
  };
}

/** Nothing is written for a task that is gone. */
export function referLargeStatement(references: readonly LargeReference[]): Statement {
  return {
    name: "refer_large",
    text: `insert into large_reference (task_id, tenant, hash)
           select t.id, t.tenant, i.hash from unnest($1::uuid[], $2::text[]) as i(task_id, hash) join task t on t.id = i.task_id
           order by t.id, i.hash on conflict do nothing`,
    values: [references.map(({ taskId }) => taskId), references.map(({ hash }) => hash)],
  };
}

/** Rows are `{hash, content}`: of these values those that one of the tasks needs. */
export function largeOfTasksStatement(taskIds: readonly string[], hashes: readonly string[]): Statement {
  return {
    name: "large_of_tasks",
    text: `select v.hash, v.content from large_value v
           where v.hash = any($2::text[]) and v.tenant in (select t.tenant from task t where t.id = any($1::uuid[]))
             and exists (
               select from large_reference r where r.task_id = any($1::uuid[]) and r.tenant = v.tenant and r.hash = v.hash)`,
    values: [taskIds, hashes],
  };
}

/** Rows are `{content}`. */
export function largeValueStatement(tenant: string, hash: string): Statement {
  return { text: "select content from large_value where tenant = $1 and hash = $2", values: [tenant, hash] };
}
