/** A database that tells of each write of a task, before it is sent and after it is acknowledged. */
import type { Database, Statement } from "../../src/store/database.ts";
import type { Reach } from "./crash-scenario.ts";

/**
 * A write is named by what it carries ("entries up to 3 of first"), so that its name is the same in every run however writes happen
 * to travel together.
 */
export function reportWrites(database: Database, reach: Reach): Database {
  const names = new Map<string, string>();

  const around = async <Result>(statements: readonly Statement[], run: () => Promise<Result>): Promise<Result> => {
    const points = statements.flatMap((statement) => pointsOf(statement, names));
    for (const point of points) await reach(`${point}: before`);
    const running = run();
    for (const point of points) await reach(`${point}: under way`);
    const result = await running;
    for (const point of points) await reach(`${point}: after`);
    return result;
  };

  return {
    ...database,
    query: (statement) => around([statement], () => database.query(statement)),
    batch: (statements) => around(statements, () => database.batch(statements)),
  };
}

interface Carried {
  readonly id?: string;
  readonly idempotency_key?: string;
  readonly task_id?: string;
  readonly seq?: number;
}

function pointsOf({ name, text, values }: Statement, names: Map<string, string>): string[] {
  if (name === "submit") {
    return recordsIn(values).map(({ id = "", idempotency_key: key = "" }) => {
      const task = key.split("/").at(-1) ?? "";
      names.set(id, task);
      return `submit of ${task}`;
    });
  }
  if (text.includes("set status = 'answered'")) return ["answer"];
  const last = new Map<string, number>();
  for (const { task_id: taskId = "", seq = 0 } of recordsIn(values)) {
    const task = names.get(taskId);
    if (task !== undefined) last.set(task, Math.max(seq, last.get(task) ?? 0));
  }
  return [...last].map(([task, seq]) => `entries up to ${seq} of ${task}`);
}

/** Rows travel as JSON text. */
function recordsIn(values: readonly unknown[]): Carried[] {
  return values.flatMap((value) => {
    if (typeof value !== "string" || !value.startsWith("[{")) return [];
    return JSON.parse(value) as Carried[];
  });
}
