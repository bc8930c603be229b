/**
 * kill -9 of a real process at every point of a task's life, on both stores: before, while and after each write, before and
 * after each effect. The points are not listed here: a run that is let live tells where it could have died.
 *
 * Each process first brings to an end what the killed one before it left, then begins a round of its own and dies in it.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Entry } from "../../src/agent/journal.ts";
import type { Database } from "../../src/store/database.ts";
import { openPglite } from "../../src/store/pglite.ts";
import { openPostgres } from "../../src/store/postgres.ts";
import { createStore } from "../../src/store/store.ts";
import { startChild } from "../support/child.ts";
import type { Orders } from "../support/children/crash.ts";
import { openLog, type Line } from "../support/crash-scenario.ts";
import { createServerDatabase } from "../support/databases.ts";
import { sql } from "../support/stored-tasks.ts";

/** So many processes at once, each on a store of its own. */
const lanes = 2;
const server = await createServerDatabase();
await server?.drop();

describe("kill -9 at every crash point loses nothing, doubles nothing and keeps the order", { concurrency: true }, () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "holdfast-crash-"));
  });
  after(() => rm(directory, { recursive: true }));

  test("on PGlite", () =>
    playEverywhere((lane) => {
      const store = join(directory, `data-${lane}`);
      return Promise.resolve({
        store,
        log: join(directory, `log-${lane}`),
        leaseMs: 5_000,
        open: () => openPglite({ dataDir: store }),
        drop: () => Promise.resolve(),
        // Its calls block the process: there is nothing between before and after.
        hasPoint: (point) => !point.endsWith(": under way"),
      });
    }));

  test("on PostgreSQL", { skip: server === undefined && "there is no server" }, () =>
    playEverywhere(async (lane) => {
      const { url, drop } = (await createServerDatabase())!;
      const log = join(directory, `log-on-server-${lane}`);
      return { store: url, log, leaseMs: 1_000, open: () => openPostgres({ url }), drop, hasPoint: () => true };
    }));
});

interface Place {
  readonly store: string;
  readonly log: string;
  readonly leaseMs: number;
  readonly open: () => Promise<Database>;
  readonly drop: () => Promise<void>;
  readonly hasPoint: (point: string) => boolean;
}

async function playEverywhere(makePlace: (lane: number) => Promise<Place>): Promise<void> {
  const places = await Promise.all(Array.from({ length: lanes }, (_, lane) => makePlace(lane)));
  const [first] = places;
  const { hasPoint } = first!;
  const printed = await play({ ...first!, unfinished: [], round: "alive", dieAt: null });
  const points = (JSON.parse(printed ?? "[]") as string[]).filter(hasPoint);
  assertCovers(points);
  const survived = await Promise.all(
    places.map(async (place, lane) => playLane(place, points.filter((_, index) => index % lanes === lane))),
  );
  // Two calls of one turn end together or one after the other: one of their points may not be met.
  assert.ok(survived.flat().length <= 3, `not reached: ${survived.flat().join("; ")}`);
}

/** @returns the points that were not reached */
async function playLane(place: Place, points: readonly string[]): Promise<string[]> {
  const survived: string[] = [];
  let unfinished: string[] = [];
  for (const dieAt of points) {
    const round = `die ${dieAt}`.replaceAll("/", "");
    const printed = await play({ ...place, unfinished, round, dieAt });
    if (printed !== undefined) survived.push(dieAt);
    unfinished = printed === undefined ? [round] : [];
  }
  await play({ ...place, unfinished, round: "last", dieAt: null });
  const database = await place.open();
  try {
    await checkInvariants(database, openLog(place.log).read(), points.length + 1);
  } finally {
    await database.close();
    await place.drop();
  }
  return survived;
}

/** @returns what it printed, or undefined if it was killed */
async function play({ store, log, leaseMs, ...orders }: Place & Pick<Orders, "unfinished" | "round" | "dieAt">) {
  const { unfinished, round, dieAt } = orders;
  const given: Orders = { store, log, leaseMs, agent: "worker", unfinished, round, dieAt };
  const child = startChild("crash", JSON.stringify(given));
  const printed = await child.line().catch(() => undefined);
  const ended = await child.done().then(
    () => true,
    () => false,
  );
  assert.ok(ended || child.stderr() === "", `at ${dieAt}: ${child.stderr()}`);
  assert.ok(dieAt !== null || ended, "it was not to die");
  return printed;
}

function assertCovers(points: readonly string[]): void {
  const expected = ["submit of", "entries up to 1 of first", "answer", "effect look", "effect note", "effect pay"];
  for (const part of [...expected, "effect send", "entries up to 5 of second"]) {
    for (const moment of ["before", "after"]) {
      assert.ok(points.some((point) => point.startsWith(part) && point.endsWith(moment)), `${part}: ${moment}`);
    }
  }
}

interface TaskRecord {
  readonly id: string;
  readonly session: string;
  readonly status: string;
  readonly name: string;
}

async function checkInvariants(database: Database, log: readonly Line[], leastRounds: number): Promise<void> {
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
    assert.deepEqual(journal(id).map(({ seq }) => seq), journal(id).map((_, index) => index + 1), `I2: ${name}`);
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
      assert.equal(tasks.find(({ name }) => name === line.name)?.status, line.status, "I7: an end that was told is true");
    }
  }
}
