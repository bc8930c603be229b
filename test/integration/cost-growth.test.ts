/** A step of a long task costs what a step of a short one costs. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Database, Statement } from "../../src/store/database.ts";
import { testDatabases } from "../support/databases.ts";
import { startHoldfast, toolOf } from "../support/running-holdfast.ts";
import { sql } from "../support/stored-tasks.ts";

/** What workers write; everything else happens by the clock and not by the step. */
const writes = new Set(["submit", "append", "park", "finish", "lock_sessions", "promote", "keep_large", "refer_large"]);

interface Cost {
  readonly statements: number;
  readonly sentBytes: number;
  readonly rows: number;
  readonly storedBytes: number;
}

/** Counts the writes of workers and what they carry. */
function counted(database: Database) {
  const total = { statements: 0, sentBytes: 0 };
  const count = ({ name, values }: Statement): void => {
    if (name === undefined || !writes.has(name)) return;
    total.statements += 1;
    total.sentBytes += values.flat().reduce<number>((sum, value) => sum + String(value).length, 0);
  };
  const counting: Database = {
    ...database,
    query: (statement) => {
      count(statement);
      return database.query(statement);
    },
    batch: (statements) => {
      statements.forEach(count);
      return database.batch(statements);
    },
  };
  return { total, database: counting };
}

const text = "x".repeat(300);
const tools = [toolOf("look", "read", () => ({ found: text }))];
const limits = { maxSteps: 100_000, tokens: 1_000_000_000 };

for (const { name, open } of await testDatabases()) {
  describe(`What a step costs on ${name}`, () => {
    let database: Database;
    before(async () => {
      database = await open();
    });
    after(() => database.close());

    const stored = async (taskId: string): Promise<{ rows: number; bytes: number }> => {
      const size = "select count(*)::int as rows, sum(pg_column_size(e))::int as bytes from entry e where task_id = $1";
      return (await database.query<{ rows: number; bytes: number }>(sql(size, taskId)))[0]!;
    };

    const costOf = async (steps: number): Promise<Cost> => {
      const { total, database: counting } = counted(database);
      await using open = new AsyncDisposableStack();
      const holdfast = await startHoldfast(counting, {
        script: (_request, call) => (call === steps ? { text } : { text, calls: [{ name: "look", input: { call } }] }),
        tools,
        agent: { limits },
      });
      open.defer(() => holdfast.stop());
      const task = await holdfast.submit({ prompt: text });
      const { stepsUsed, error } = await task.result();
      assert.deepEqual([stepsUsed, error], [steps, null]);
      const { rows, bytes } = await stored(task.id);
      return {
        statements: total.statements / steps,
        sentBytes: total.sentBytes / steps,
        rows: rows / steps,
        storedBytes: bytes / steps,
      };
    };

    test("is the same in a task of ten steps and in one of a thousand", async () => {
      const short = await costOf(10);
      const long = await costOf(1_000);
      assert.ok(long.rows <= 2.01 && long.statements <= 2.1, JSON.stringify(long));
      for (const what of ["statements", "sentBytes", "rows", "storedBytes"] as const) {
        // The last step, which calls nothing, is a tenth of the short one; numbers have more digits in the long one.
        assert.ok(long[what] <= short[what] * 1.1, `${what}: ${short[what]} a step at first, ${long[what]} later`);
      }
    });
  });
}
