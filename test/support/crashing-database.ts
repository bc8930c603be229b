/** A database that tells of what it is told to write, before it is sent, while it is under way and after it is acknowledged. */
import type { Database, Statement } from "../../src/store/database.ts";
import type { Reach } from "./killed-process.ts";

/**
 * Tells of each write of a task. It is named by what it carries ("entries up to 3 of first"), so that its name is the same
 * in every run, however writes happen to travel together.
 */
export function reportWrites(database: Database, reach: Reach): Database {
  const names = new Map<string, string>();
  return reportStatements(database, (statement) => writesOf(statement, names), reach);
}

/** `pointsOf` names what a statement writes; most write nothing that is told. */
export function reportStatements(
  database: Database,
  pointsOf: (statement: Statement) => string[],
  reach: Reach,
): Database {
  const around = async <Result>(statements: readonly Statement[], run: () => Promise<Result>): Promise<Result> => {
    const points = statements.flatMap(pointsOf);
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

function writesOf({ name = "", text, values }: Statement, names: Map<string, string>): string[] {
  if (name === "submit") {
    return (JSON.parse(String(values[0])) as { id: string; idempotency_key: string }[]).map(
      ({ id, idempotency_key: key }) => {
        const task = key.split("/").at(-1) ?? "";
        names.set(id, task);
        return `submit of ${task}`;
      },
    );
  }
  if (text.includes("set status = 'answered'")) return ["answer"];
  const first = firstOfEntries.get(name);
  if (first === undefined) return [];
  // Entries travel as arrays, one per column: task ids, epochs, numbers, …
  const taskIds = values[first] as string[];
  const numbers = values[first + 2] as number[];
  const last = new Map<string, number>();
  for (const [index, taskId] of taskIds.entries()) {
    const task = names.get(taskId);
    if (task !== undefined) last.set(task, Math.max(numbers[index] ?? 0, last.get(task) ?? 0));
  }
  return [...last].map(([task, seq]) => `entries up to ${seq} of ${task}`);
}

/** At which value of a statement its entries begin. */
const firstOfEntries = new Map([
  ["append", 1],
  ["finish", 10],
  ["park", 10],
]);
