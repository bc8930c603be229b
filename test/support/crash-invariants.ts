/** What must be true of the store and of the world after processes were killed, whatever they were doing. */
import assert from "node:assert/strict";
import type { Entry } from "../../src/agent/journal.ts";
import type { Database } from "../../src/store/database.ts";
import { createStore } from "../../src/store/store.ts";
import type { Line } from "./crash-scenario.ts";
import { sql } from "./stored-tasks.ts";

interface TaskRecord {
  readonly id: string;
  readonly session: string;
  readonly status: string;
  readonly name: string;
}

/** @throws AssertionError that names the invariant which does not hold */
export async function checkInvariants(database: Database, log: readonly Line[], leastRounds: number): Promise<void> {
  const tasks = await database.query<TaskRecord>(
    sql("select id, session_id as session, status, idempotency_key as name from task order by session_id, position"),
  );
  const journals = await createStore(database).journals(tasks.map(({ id }) => id));
  const journal = (id: string): Entry[] => journals.get(id) ?? [];
  assert.ok(tasks.length >= 2 * leastRounds, "I1: every round's tasks are there");
  for (const { id, name, status } of tasks) {
    assert.equal(status, "completed", `I1: ${name}`);
    const ends = journal(id).flatMap(({ kind }, index) => (kind === "end" ? [index] : []));
    assert.deepEqual(ends, [journal(id).length - 1], `I1: ${name} has one end, and it is the last entry`);
    assert.deepEqual(
      journal(id).map(({ seq }) => seq),
      journal(id).map((_, index) => index + 1),
      `I2: ${name}`,
    );
  }
  const epochs = await database.query<{ task: string }>(
    sql(`select task_id as task from (
           select task_id, epoch, lag(epoch) over (partition by task_id order by seq) as before from entry) e
         where epoch < before`),
  );
  assert.deepEqual(epochs, [], "I3: no older epoch after a newer one");
  checkEffects(tasks, journal, log);
  checkOrder(tasks, journal);
  await checkPromises(database, tasks, { journal, log });
}

function checkEffects(tasks: readonly TaskRecord[], journal: (id: string) => Entry[], log: readonly Line[]): void {
  for (const { id, name } of tasks) {
    const effects = log.filter((line) => line.type === "effect" && line.key.startsWith(id));
    for (const call of name.endsWith("/first") ? ["look", "note", "pay"] : ["send"]) {
      const mine = effects.filter((line) => line.type === "effect" && line.call === call);
      const keys = new Set(mine.map((line) => line.type === "effect" && line.key));
      assert.equal(keys.size, 1, `I4: ${call} of ${name} has one key, whoever runs it`);
      if (call === "look" || call === "note") continue;
      // A human says "try again" only where the effect is not in the file.
      assert.equal(mine.length, 1, `I4: ${call} of ${name} happened once`);
      const outcomes = journal(id).filter((entry) => entry.kind === "tool" && entry.callId === call);
      const told = journal(id).filter((entry) => entry.kind === "answer" && entry.answer.decision === "succeeded");
      assert.equal(outcomes.length + told.length, 1, `I4: ${call} of ${name} has one outcome`);
    }
  }
}

function checkOrder(tasks: readonly TaskRecord[], journal: (id: string) => Entry[]): void {
  for (const mine of Map.groupBy(tasks, ({ session }) => session).values()) {
    assert.equal(mine.length, 2, "a repeat of a key is no second task");
    const [first, second] = mine.map(({ id }) => journal(id));
    assert.ok(second![0]!.at >= first!.at(-1)!.at, "I5: the second begins when the first has ended");
  }
}

async function checkPromises(
  database: Database,
  tasks: readonly TaskRecord[],
  { journal, log }: { journal: (id: string) => Entry[]; log: readonly Line[] },
): Promise<void> {
  const answers = await database.query<{ id: string; answer: unknown }>(sql("select id, answer from approval"));
  for (const line of log) {
    if (line.type === "entry") {
      assert.deepEqual(journal(line.taskId)[line.entry.seq - 1], line.entry, "I2: an entry that was seen stands");
    }
    if (line.type === "accepted") {
      assert.equal(tasks.find(({ name }) => name === line.name)?.id, line.taskId, "I7: an accepted task is there");
    }
    if (line.type === "answered") {
      const { answer } = answers.find(({ id }) => id === line.approvalId)!;
      assert.deepEqual(answer, line.answer, "I7: an answer that was taken stands");
    }
    if (line.type === "ended") {
      assert.equal(
        tasks.find(({ name }) => name === line.name)?.status,
        line.status,
        "I7: an end that was told is true",
      );
    }
  }
}
