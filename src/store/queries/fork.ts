/** Makes a task of the beginning of another one's journal. The statements of one transaction, around its submit. */
import type { Statement } from "../database.ts";
import type { TaskKey } from "./tasks.ts";

/** From where to where a journal is copied: what comes after `afterSeq`, up to `upToSeq`. */
export interface Stretch {
  readonly from: string;
  readonly afterSeq: number;
  readonly upToSeq: number;
}

/**
 * Keeps the original from being deleted before this has committed. No row: it is gone. (The session of a fork is new, so
 * nobody who waits for this lock holds that one.)
 */
export function keepOriginalStatement({ tenant, id }: TaskKey): Statement {
  return { text: "select id from task where tenant = $1 and id = $2 for key share", values: [tenant, id] };
}

/** A condition on the row `i` of a submit. */
export const originalIsThere =
  "exists (select from task original where original.id = i.forked_from and original.tenant = i.tenant)";

/** Epoch 0: written before anyone held the task. */
export function copyJournalStatement({ from, to, afterSeq, upToSeq }: Stretch & { to: string }): Statement {
  return {
    text: `insert into entry (task_id, seq, epoch, kind, at, body)
           select $2, seq - $3, 0, kind, at, body from entry where task_id = $1 and seq > $3 and seq <= $4`,
    values: [from, to, afterSeq, upToSeq],
  };
}

/** The large values that the original needs. */
export function copyReferencesStatement({ from, to }: { from: string; to: string }): Statement {
  return {
    text: `insert into large_reference (task_id, tenant, hash)
           select $2, tenant, hash from large_reference where task_id = $1 order by hash on conflict do nothing`,
    values: [from, to],
  };
}
