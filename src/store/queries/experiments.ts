/** What is ordered to be done to model calls for a while, and what drills came to: sql/0014_experiments.sql. */
import type { Json } from "../../agent/json.ts";
import type { Statement } from "../database.ts";
import { encodeJson } from "../json.ts";

export type ExperimentKind = "faults" | "drill";

export interface Experiment {
  readonly kind: ExperimentKind;
  readonly value: Json;
  /** Until it ends, in milliseconds: the clocks of processes may differ from that of the database. */
  readonly leftMs: number;
}

export interface DrillResultRow {
  readonly first: string;
  readonly fallback: string;
  readonly path: "primary" | "fallback";
  readonly calls: number;
  readonly answered: number;
  readonly tokens: number;
  readonly costMicros: number;
  readonly unpriced: number;
  readonly ms: number[];
  readonly ttftMs: number[];
}

export function orderExperimentStatement({ kind, value, leftMs }: Experiment): Statement {
  return {
    text: `insert into experiment (kind, value, ends_at)
           values ($1, $2::jsonb, holdfast_now() + $3::float8 * interval '1 millisecond')
           on conflict (kind) do update set value = excluded.value, ends_at = excluded.ends_at`,
    values: [kind, encodeJson(value), leftMs],
  };
}

export function endExperimentStatement(kind: ExperimentKind): Statement {
  return { text: "delete from experiment where kind = $1", values: [kind] };
}

/** Rows are `Experiment`: those that have not ended. */
export function experimentsStatement(): Statement {
  return {
    name: "experiments",
    text: `select kind, value, (extract(epoch from ends_at - holdfast_now()) * 1000)::float8 as "leftMs"
           from experiment where ends_at > holdfast_now()`,
    values: [],
  };
}

const fields = `first text, fallback text, path text, calls bigint, answered bigint, tokens bigint, "costMicros" bigint,
  unpriced bigint, ms integer[], "ttftMs" integer[]`;

/** Adds two arrays of counts, one to one. */
const added = (column: string): string =>
  `(select array_agg(one + other order by at) from unnest(d.${column}, excluded.${column}) with ordinality as u(one, other, at))`;

/** Rows are taken in one order by every process, so that two do not wait for each other. What is old goes. */
export function addDrillResultsStatement(rows: readonly DrillResultRow[]): Statement {
  return {
    text: `with old as (delete from drill_result where hour < holdfast_now() - interval '90 days')
           insert into drill_result as d (hour, first_models, fallback_models, path, calls, answered, tokens, cost_micros,
             unpriced, ms, ttft_ms)
           select date_trunc('hour', holdfast_now(), 'UTC'), r.first, r.fallback, r.path, r.calls, r.answered, r.tokens,
             r."costMicros", r.unpriced, r.ms, r."ttftMs"
           from jsonb_to_recordset($1::jsonb) as r(${fields})
           order by r.first, r.fallback, r.path
           on conflict (hour, first_models, fallback_models, path) do update set
             calls = d.calls + excluded.calls, answered = d.answered + excluded.answered,
             tokens = d.tokens + excluded.tokens, cost_micros = d.cost_micros + excluded.cost_micros,
             unpriced = d.unpriced + excluded.unpriced, ms = ${added("ms")}, ttft_ms = ${added("ttft_ms")}`,
    values: [encodeJson(rows)],
  };
}

/** Rows are `DrillResultRow`, one for each hour; at most `limit`, the newest. */
export function drillResultsStatement({ hours, limit }: { hours: number; limit: number }): Statement {
  return {
    text: `select first_models as first, fallback_models as fallback, path, calls, answered, tokens,
             cost_micros as "costMicros", unpriced, ms, ttft_ms as "ttftMs"
           from drill_result where hour > holdfast_now() - $1::float8 * interval '1 hour' - interval '1 hour'
           order by hour desc, first_models, fallback_models, path limit $2`,
    values: [hours, limit],
  };
}
