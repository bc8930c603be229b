/**
 * Claim: what is stored does not slow down what runs. The same load on an empty database and on one that keeps a million
 * sessions, in new sessions and as next messages of stored ones. The stored ones are copies of one that was really held.
 */
import type { Database } from "../src/store/database.ts";
import type { Holdfast } from "../src/index.ts";
import { openServer } from "./databases.ts";
import { runTask, startHoldfast } from "./holdfast.ts";
import { measure, type Load } from "./measure.ts";

export async function measureStoredSessions(sessions: number, load: Load & { concurrency: number }): Promise<void> {
  await using server = await openServer();
  if (server === undefined) return console.log("PostgreSQL is not reachable: there is nothing to store sessions on.");
  const { database } = server;
  const holdfast = await startHoldfast({ database });
  const inNewSession = () => runTask(holdfast);
  const inStoredSession = () => runTask(holdfast, `stored-${Math.ceil(Math.random() * sessions)}`);
  try {
    const rows = [{ sessions: "none", tasks: "in new sessions", ...(await run(inNewSession, load)) }];
    const startedAt = performance.now();
    await store(holdfast, database, sessions);
    console.log(`${sessions} sessions stored in ${((performance.now() - startedAt) / 1_000).toFixed(0)} s.`);
    await printSizes(database, sessions);
    const stored = sessions.toLocaleString("en");
    rows.push({ sessions: stored, tasks: "in new sessions", ...(await run(inNewSession, load)) });
    rows.push({ sessions: stored, tasks: "in stored sessions", ...(await run(inStoredSession, load)) });
    console.table(rows);
  } finally {
    await holdfast.stop();
  }
}

async function run(task: () => Promise<void>, load: Load & { concurrency: number }) {
  const { tasksPerSecond, p50Ms, p99Ms } = await measure(task, load);
  return { "tasks/s": tasksPerSecond.toFixed(0), "p50 ms": p50Ms.toFixed(1), "p99 ms": p99Ms.toFixed(1) };
}

/** Copies the rows of one session, each with ids in the order of time, as ids are. */
async function store(holdfast: Holdfast, database: Database, sessions: number): Promise<void> {
  const template = await holdfast.submit({ prompt: "Hello", sessionId: "template" });
  await template.result();
  await database.script(`
    create temp table template on commit drop as select * from task where id = '${template.id}';
    create temp table copy on commit drop as
    select n, (lpad(to_hex(1700000000000 + n), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid as id
    from generate_series(1, ${sessions}) n;
    insert into session select (jsonb_populate_record(s, jsonb_build_object('id', 'stored-' || c.n))).*
    from copy c, session s where s.id = 'template';
    insert into task select (jsonb_populate_record(t, jsonb_build_object('id', c.id, 'session_id', 'stored-' || c.n))).*
    from copy c, template t;
    insert into entry (task_id, seq, epoch, kind, at, body)
    select c.id, e.seq, e.epoch, e.kind, e.at, e.body from copy c, entry e where e.task_id = '${template.id}';
  `);
  // What was stored is written out before anything is measured beside it.
  await database.script("analyze; checkpoint");
}

async function printSizes(database: Database, sessions: number): Promise<void> {
  const rows = await database.query<{ table: string; bytes: number; indexBytes: number }>({
    text: `select relname as "table", pg_total_relation_size(oid)::float8 as bytes, pg_indexes_size(oid)::float8 as "indexBytes"
           from pg_class where relname in ('session', 'task', 'entry')`,
    values: [],
  });
  for (const { table, bytes, indexBytes } of rows) {
    const perSession = Math.round(bytes / sessions);
    console.log(
      `${table}: ${(bytes / 1e9).toFixed(2)} GB, of which indexes ${(indexBytes / 1e9).toFixed(2)} GB; ${perSession} bytes a session.`,
    );
  }
}
