/** What models said in answer to POST /v1/responses; see sql/0015_response_texts.sql. */
import type { Statement } from "../database.ts";
import { encodeText } from "../json.ts";

export interface ResponseText {
  readonly id: string;
  readonly tenant: string;
  readonly text: string;
}

/** As OpenAI keeps responses. */
const keptDays = 30;
/** Each write makes room for more than it brings, so that there is never a backlog of what is old. */
const sweptPerText = 2;

export function keepTextsStatement(texts: readonly ResponseText[]): Statement {
  return {
    name: "keep_texts",
    text: `with swept as (
             delete from response_text where id in (
               select id from response_text where created_at < holdfast_now() - $4::int * interval '1 day'
               order by created_at limit $5 for update skip locked)
           )
           insert into response_text (id, tenant, text)
           select * from unnest($1::text[], $2::text[], $3::text[]) as i(id, tenant, text) order by i.id collate "C"
           on conflict (id) do nothing`,
    values: [
      texts.map(({ id }) => id),
      texts.map(({ tenant }) => tenant),
      texts.map(({ text }) => encodeText(text)),
      keptDays,
      texts.length * sweptPerText,
    ],
  };
}

/** Rows are `{id, text}`. */
export function keptTextsStatement({ tenant, ids }: { tenant: string; ids: readonly string[] }): Statement {
  return {
    name: "kept_texts",
    text: "select id, text from response_text where tenant = $1 and id = any($2::text[])",
    values: [tenant, ids],
  };
}
