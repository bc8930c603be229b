/** Counts what an engine made durable, over a connection that is none of the engine's. */
import { Client } from "pg";

/** What a query answers as `count`. */
export async function countRows(databaseUrl: string, sql: string): Promise<number> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ count: string | number }>(sql);
    return Number(rows[0]?.count);
  } finally {
    await client.end();
  }
}
