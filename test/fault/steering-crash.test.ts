/**
 * kill -9 of a real process at every point of a message's way into a task, on both stores: while it is left, while it is
 * heard, while it cuts off a turn. The points are not listed here: a run that is let live tells where it could have died.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { Entry } from "../../src/agent/journal.ts";
import type { Database } from "../../src/store/database.ts";
import { openPglite } from "../../src/store/pglite.ts";
import { openPostgres } from "../../src/store/postgres.ts";
import { createStore } from "../../src/store/store.ts";
import { createServerDatabase } from "../support/databases.ts";
import { runRounds, type Orders } from "../support/killed-process.ts";
import { openAnswers, type Answered } from "../support/steering-scenario.ts";
import { sql } from "../support/stored-tasks.ts";

const server = await createServerDatabase();

describe("kill -9 at every point of a message's way", { concurrency: true }, () => {
  test("loses none and doubles none, on PGlite", async (t) => {
    const directory = await mkdtemp(join(tmpdir(), "holdfast-steering-"));
    t.after(() => rm(directory, { recursive: true }));
    const store = join(directory, "data");
    const place = { store, log: join(directory, "log"), leaseMs: 5_000 };
    // Its calls block the process: there is nothing between before and after.
    await dieEverywhere(
      place,
      (point) => !point.endsWith(": under way"),
      () => openPglite({ dataDir: store }),
    );
  });

  test(
    "loses none and doubles none, on PostgreSQL",
    { skip: server === undefined && "there is no server" },
    async (t) => {
      const { url, drop } = server!;
      const directory = await mkdtemp(join(tmpdir(), "holdfast-steering-"));
      t.after(async () => {
        await drop();
        await rm(directory, { recursive: true });
      });
      const place = { store: url, log: join(directory, "log"), leaseMs: 1_000 };
      await dieEverywhere(
        place,
        () => true,
        () => openPostgres({ url }),
      );
    },
  );
});

type Place = Pick<Orders, "store" | "log" | "leaseMs">;

async function dieEverywhere(
  place: Place,
  hasPoint: (point: string) => boolean,
  open: () => Promise<Database>,
): Promise<void> {
  const met = await runRounds("steer", { ...place, unfinished: [], round: "alive", dieAt: null });
  // Where no message is on its way yet, crash-points.test.ts kills.
  const points = met!.filter((point) => hasPoint(point) && !/^(submit|append model)/.test(point));
  for (const part of ["deliver note", "deliver stop", "append tool", "hear message", "hear model,message", "finish"]) {
    assert.ok(
      points.some((point) => point.startsWith(part)),
      `there is no point ${part} among ${points.join("; ")}`,
    );
  }
  const rounds = ["alive"];
  const survived: string[] = [];
  let unfinished: string[] = [];
  for (const dieAt of points) {
    const round = `die ${dieAt}`;
    rounds.push(round);
    const lived = (await runRounds("steer", { ...place, unfinished, round, dieAt })) !== undefined;
    if (lived) survived.push(dieAt);
    unfinished = lived ? [] : [round];
  }
  await runRounds("steer", { ...place, unfinished, round: "last", dieAt: null });
  assert.deepEqual(survived, [], "every point was met again");
  const database = await open();
  try {
    await check(database, openAnswers(place.log).read(), [...rounds, "last"]);
  } finally {
    await database.close();
  }
}

async function check(database: Database, answers: readonly Answered[], rounds: readonly string[]): Promise<void> {
  const tasks = await database.query<{ id: string; round: string; status: string; output: string }>(
    sql("select id, session_id as round, status, output from task order by id"),
  );
  assert.deepEqual(
    tasks.map(({ round }) => round).sort(),
    [...rounds].sort(),
    "one task a round, and no message is one",
  );
  const journals = await createStore(database).journals(tasks.map(({ id }) => id));
  for (const { id, round, status, output } of tasks) {
    assert.deepEqual([status, output], ["completed", "Done."], round);
    const journal = journals.get(id) ?? [];
    assert.deepEqual(
      journal.map(({ seq }) => seq),
      journal.map((_, index) => index + 1),
      round,
    );
    // The broken turn is not there if the process died before it was: then the message was heard instead of it.
    const isLostCall = (entry: Entry): boolean => entry.kind === "failure" && entry.code === "worker_lost";
    const kinds = journal.flatMap((entry) => (isLostCall(entry) ? [] : entry.kind)).join(" ");
    assert.match(kinds, /^model tool message (model )?message model end$/, round);
    const messages = journal.filter((entry): entry is Entry & { kind: "message" } => entry.kind === "message");
    assert.deepEqual(
      messages.map(({ prompt }) => prompt),
      ["note", "stop"],
      round,
    );
    for (const { prompt, messageId } of messages) {
      const told = answers.filter((answer) => answer.round === round && answer.prompt === prompt);
      assert.ok(told.length > 0, `${prompt} of ${round} was answered`);
      for (const answer of told) assert.deepEqual([answer.taskId, answer.messageId], [id, messageId], round);
    }
  }
  const left = await database.query(sql("select id from inbox where not heard"));
  assert.deepEqual(left, []);
}
