/** Whether all that was promised was kept, from the rows, the ledger and what the clients were told. */
import { isDeepStrictEqual } from "node:util";
import type { Client, Entry } from "../../src/client/index.ts";
import type { Database } from "../../src/store/database.ts";
import { sql } from "../support/stored-tasks.ts";
import { calls, onceTool } from "./agent.ts";
import type { Told } from "./clients.ts";
import type { Answered } from "./human.ts";
import type { Effect } from "./ledger.ts";

export interface Evidence {
  readonly database: Database;
  readonly client: Client;
  readonly told: readonly Told[];
  readonly answers: readonly Answered[];
  readonly effects: readonly Effect[];
}

interface TaskRecord {
  readonly id: string;
  readonly status: string;
  readonly output: string | null;
  readonly session: string;
}

/** A line for each promise that was broken. */
export async function findViolations(evidence: Evidence): Promise<string[]> {
  const { database, told } = evidence;
  const tasks = await database.query<TaskRecord>(
    sql("select id, status, output, session_id as session from task order by session_id, position"),
  );
  const journals = await readJournals(evidence);
  return [
    ...lostTasks(tasks, told),
    ...brokenJournals(journals),
    ...(await mixedEpochs(database)),
    ...untrueNews(journals, tasks, told),
    ...wrongEffects(evidence, tasks),
    ...wrongOrder(journals, told, tasks),
    ...(await forgottenAnswers(evidence)),
  ];
}

type Journals = ReadonlyMap<string, readonly Entry[]>;

async function readJournals({ client, told }: Evidence): Promise<Journals> {
  const journals = new Map<string, readonly Entry[]>();
  const left = [...told];
  const read = async (): Promise<void> => {
    for (let task = left.pop(); task !== undefined; task = left.pop()) {
      journals.set(task.taskId, (await client.journal(task.taskId, { limit: 200 })).items);
    }
  };
  await Promise.all(Array.from({ length: 8 }, read));
  return journals;
}

function lostTasks(tasks: readonly TaskRecord[], told: readonly Told[]): string[] {
  const byId = new Map(tasks.map((task) => [task.id, task]));
  const lost = told.filter(({ taskId }) => byId.get(taskId)?.status !== "completed");
  const unwanted = tasks.length - told.length;
  return [
    ...lost.map(({ taskId }) => `lost: task ${taskId} was accepted and is ${byId.get(taskId)?.status ?? "not there"}`),
    ...(unwanted > 0 ? [`doubled: ${unwanted} more tasks are stored than were accepted`] : []),
  ];
}

function brokenJournals(journals: Journals): string[] {
  return [...journals].flatMap(([id, journal]) => {
    const gap = journal.findIndex(({ seq }, index) => seq !== index + 1);
    const ends = journal.filter(({ kind }) => kind === "end").length;
    return [
      ...(gap < 0 ? [] : [`gap: the journal of ${id} has no entry ${gap + 1}`]),
      ...(ends === 1 && journal.at(-1)?.kind === "end" ? [] : [`end: the journal of ${id} has ${ends} ends`]),
    ];
  });
}

async function mixedEpochs(database: Database): Promise<string[]> {
  const rows = await database.query<{ id: string }>(
    sql(`select distinct task_id as id from (
           select task_id, epoch, lag(epoch) over (partition by task_id order by seq) as before from entry) e
         where epoch < before`),
  );
  return rows.map(({ id }) => `fence: an older worker wrote after a newer one in ${id}`);
}

function untrueNews(journals: Journals, tasks: readonly TaskRecord[], told: readonly Told[]): string[] {
  const byId = new Map(tasks.map((task) => [task.id, task]));
  return told.flatMap(({ taskId, entries, result }) => {
    const task = byId.get(taskId);
    const journal = journals.get(taskId) ?? [];
    return [
      ...(isDeepStrictEqual(entries, journal)
        ? []
        : [`news: the entries that were told of ${taskId} are not its journal`]),
      ...(result?.status === task?.status && result?.output === task?.output
        ? []
        : [`news: a false result of ${taskId}`]),
    ];
  });
}

function wrongEffects({ effects, answers }: Evidence, tasks: readonly TaskRecord[]): string[] {
  const byCall = Map.groupBy(effects, ({ task, call }) => `${task} ${call}`);
  const declaredFailed = new Set(
    answers.filter(({ decision }) => decision === "failed").map(({ taskId, callId }) => `${taskId} ${callId}`),
  );
  return tasks.flatMap(({ id }) =>
    calls.flatMap((call) => {
      if (call.tool === "look") return [];
      const name = `${id} ${call.id}`;
      const mine = byCall.get(name) ?? [];
      const keys = new Set(mine.map(({ key }) => key)).size;
      if (call.tool !== onceTool) return keys === 1 ? [] : [`idempotent: ${name} has ${keys} keys`];
      const expected = declaredFailed.has(name) ? 0 : 1;
      return mine.length === expected ? [] : [`once: ${name} took effect ${mine.length} times, and not ${expected}`];
    }),
  );
}

function wrongOrder(journals: Journals, told: readonly Told[], tasks: readonly TaskRecord[]): string[] {
  const stored = Map.groupBy(tasks, ({ session }) => session);
  return [...Map.groupBy(told, ({ sessionId }) => sessionId)].flatMap(([session, mine]) => {
    const accepted = mine.toSorted((a, b) => a.place - b.place).map(({ taskId }) => taskId);
    const positions = stored.get(session)?.map(({ id }) => id);
    const overlaps = accepted.slice(1).filter((id, index) => {
      const begins = journals.get(id)?.[0]?.at ?? "";
      const before = journals.get(accepted[index]!)?.at(-1)?.at ?? "";
      return begins < before;
    });
    return [
      ...(isDeepStrictEqual(accepted, positions) ? [] : [`order: session ${session} is not in the order accepted`]),
      ...overlaps.map((id) => `order: ${id} began before the task before it had ended`),
    ];
  });
}

async function forgottenAnswers({ database, answers }: Evidence): Promise<string[]> {
  const rows = await database.query<{ id: string; decision: string | null }>(
    sql("select id, answer->>'decision' as decision from approval"),
  );
  const kept = new Map(rows.map(({ id, decision }) => [id, decision]));
  return answers
    .filter(({ approvalId, decision }) => kept.get(approvalId) !== decision)
    .map(({ approvalId }) => `answer: what was answered to ${approvalId} is not what was kept`);
}
