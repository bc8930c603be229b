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

/** A task needs a value. */
export interface LargeReference {
  readonly taskId: string;
  readonly hash: string;
}

/**
 * Of a value that is there the row is locked, so that it cannot be deleted before what refers to it has committed. That it
 * is used is written down once an hour, which is often enough for one that goes after a day.
 */
export function keepLargeStatement(contents: readonly LargeContent[]): Statement {
  // No row may be met twice by one statement of this kind.
  const distinct = [...new Map(contents.map((content) => [`${content.tenant} ${content.hash}`, content])).values()];
  return {
    name: "keep_large",
    text: `insert into large_value as v (tenant, hash, content)
           select * from unnest($1::text[], $2::text[], $3::text[]) as i(tenant, hash, content)
           order by i.tenant collate "C", i.hash collate "C"
           on conflict (tenant, hash) do update set used_at = excluded.used_at
             where v.used_at < excluded.used_at - interval '1 hour'`,
    values: [
      distinct.map(({ tenant }) => tenant),
      distinct.map(({ hash }) => hash),
      distinct.map(({ content }) => content),
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

/** A fork needs what the task it was made from needs. */
export function copyReferencesStatement({ from, to }: { from: string; to: string }): Statement {
  return {
    text: `insert into large_reference (task_id, tenant, hash)
           select $2, tenant, hash from large_reference where task_id = $1 order by hash on conflict do nothing`,
    values: [from, to],
  };
}

/** Rows are `{content}`. */
export function largeValueStatement(tenant: string, hash: string): Statement {
  return { text: "select content from large_value where tenant = $1 and hash = $2", values: [tenant, hash] };
}
