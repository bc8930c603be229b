/** Values too large for the journal, by the hash of their content: the same value is kept once. */
import type { Statement } from "../database.ts";

export interface LargeContent {
  readonly tenant: string;
  /** SHA-256 of `content`, in hex. */
  readonly hash: string;
  /** JSON text. */
  readonly content: string;
}

export function keepLargeStatement({ tenant, hash, content }: LargeContent): Statement {
  return {
    text: "insert into large_value (tenant, hash, content) values ($1, $2, $3) on conflict do nothing",
    values: [tenant, hash, content],
  };
}

/** Rows are `{content}`. */
export function largeValueStatement(tenant: string, hash: string): Statement {
  return { text: "select content from large_value where tenant = $1 and hash = $2", values: [tenant, hash] };
}
