/**
 * Answers of models that are given again. Keeping one replaces an older one of the same key; rows are locked by (tenant,
 * key), and nothing else is locked with them.
 */
import type { Statement } from "../database.ts";
import { encodeJson } from "../json.ts";

export interface AnswerKey {
  readonly tenant: string;
  /** SHA-256 in hex. */
  readonly key: string;
}

export interface AnswerToKeep extends AnswerKey {
  readonly answer: object;
  /** How long anybody may ask for it. */
  readonly keepMs: number;
}

export interface AnswerRow {
  /** The place of its key among those asked for, from 1. */
  readonly n: number;
  readonly answer: object;
  readonly ageMs: number;
}

/** Rows are `AnswerRow`. */
export function findAnswersStatement(keys: readonly AnswerKey[]): Statement {
  return {
    name: "find_answers",
    text: `select i.n, a.answer, (extract(epoch from holdfast_now() - a.kept_at) * 1000)::float8 as "ageMs"
           from unnest($1::text[], $2::text[]) with ordinality as i(tenant, key, n)
           join answer a on a.tenant = i.tenant and a.key = i.key and a.keep_until > holdfast_now()`,
    values: [keys.map(({ tenant }) => tenant), keys.map(({ key }) => key)],
  };
}

export function keepAnswersStatement(answers: readonly AnswerToKeep[]): Statement {
  return {
    name: "keep_answers",
    text: `insert into answer (tenant, key, answer, kept_at, keep_until)
           select distinct on (1, 2) i.tenant collate "C", i.key collate "C", i.answer::json, holdfast_now(),
             holdfast_now() + i.keep_ms * interval '1 millisecond'
           from unnest($1::text[], $2::text[], $3::text[], $4::float8[]) as i(tenant, key, answer, keep_ms)
           order by 1, 2
           on conflict (tenant, key) do update
             set answer = excluded.answer, kept_at = excluded.kept_at, keep_until = excluded.keep_until`,
    values: [
      answers.map(({ tenant }) => tenant),
      answers.map(({ key }) => key),
      answers.map(({ answer }) => encodeJson(answer)),
      answers.map(({ keepMs }) => keepMs),
    ],
  };
}

/** The row is `{answers}`, the number of them; a dry run deletes none, and looks at no more either. */
export function pruneAnswersStatement({ limit, dryRun }: { limit: number; dryRun: boolean }): Statement {
  const past = "select tenant, key from answer where keep_until <= holdfast_now()";
  const text = dryRun
    ? `select count(*)::int as answers from (${past}) a where $1::int > 0`
    : `with past as materialized (${past} order by keep_until limit $1 for update skip locked), gone as (
         delete from answer a using past p where a.tenant = p.tenant and a.key = p.key returning 1
       ) select count(*)::int as answers from gone`;
  return { text, values: [limit] };
}
