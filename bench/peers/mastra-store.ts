/** What Mastra's two ways of making an agent durable have in common here: the store, and what is found in it. */
import { PostgresStore } from "@mastra/pg";
import { countRows } from "../comparison/count-rows.ts";
import { poolSize } from "../comparison/subject.ts";
import { marks } from "../work.ts";

export function openStore(databaseUrl: string): PostgresStore {
  return new PostgresStore({ id: "bench", connectionString: databaseUrl, max: poolSize });
}

export async function prepareStore({ databaseUrl }: { readonly databaseUrl: string }): Promise<void> {
  const store = openStore(databaseUrl);
  await store.init();
  await store.close();
}

/**
 * A run is a row or two with a snapshot of its whole state, written anew as it goes on: its steps are found in there by
 * what the work writes into each message. For one run alone.
 */
export function countSteps(databaseUrl: string): Promise<number> {
  const found = marks.map((mark) => `coalesce(bool_or(position('${mark}' in snapshot::text) > 0)::int, 0)`);
  return countRows(databaseUrl, `select ${found.join(" + ")} as count from mastra_workflow_snapshot`);
}
