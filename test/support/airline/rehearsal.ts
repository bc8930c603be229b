/**
 * All recorded conversations through a whole service: the replayed model and the tools' world are in this process, the
 * service in others, and everything between them is HTTP. In the end what the model was told, every journal, every session
 * and every effect must be what was recorded.
 */
import assert from "node:assert/strict";
import type { Entry, Message, Page, TaskSummary } from "../../../src/client/wire.ts";
import { systemClock } from "../../../src/platform/clock.ts";
import type { Database } from "../../../src/store/database.ts";
import { startMockProvider } from "../../../src/testing/mock-provider.ts";
import { seededRandom } from "../seeded-random.ts";
import { effectOf } from "./airline-config.ts";
import { type Api, converse, createApi, type Watched } from "./customer.ts";
import { callsOf, journalOf, sessionOf, storyOf } from "./expected.ts";
import { readAgent, readRecordings, type Recording } from "./recordings.ts";
import { createReplayModel, type ReplayModel } from "./replay-model.ts";
import { type ServiceOptions, type ServiceProcesses, startServiceProcesses } from "./service-processes.ts";
import { openToolDesk, type ToolDesk } from "./tool-desk.ts";

export interface RehearsalOptions {
  readonly service: Pick<ServiceOptions, "databaseUrl" | "dataDir" | "tuning">;
  readonly processes: number;
  /** Kill processes all the while; the model and the tools then take their time, so that there is something to hit. */
  readonly disturbed: boolean;
  readonly seed: number;
  /** Opens the database when the service is gone. */
  readonly openDatabase: () => Promise<Database>;
}

export interface Report {
  readonly tasks: number;
  readonly entries: number;
  readonly seconds: number;
  readonly kills: number;
  /** Tasks that more than one process, or one process more than once, worked on. */
  readonly resumed: number;
  readonly modelCalls: number;
  readonly repeatedModelCalls: number;
  readonly repeatedToolCalls: number;
  readonly brokenRequests: number;
}

/** What is around the service. */
interface World {
  readonly recordings: readonly Recording[];
  readonly differences: string[];
  readonly model: ReplayModel;
  readonly desk: ToolDesk;
}

const atOnce = 16;

/** @throws AssertionError that shows the first differences */
export async function rehearse(options: RehearsalOptions): Promise<Report> {
  const recordings = readRecordings();
  const agent = readAgent();
  const differences: string[] = [];
  const onDifference = (difference: string): void => void differences.push(difference);
  const latencyMs = options.disturbed ? 20 : 0;
  const pace = (position: number) =>
    options.disturbed ? { latencyMs: 20 * (position % 6), chunkChars: 80, delayBetweenChunksMs: 5 } : {};
  const model = createReplayModel({ recordings, agent, pace, onDifference });
  await using provider = await startMockProvider({ script: model.answer });
  await using desk = await openToolDesk({ recordings, clock: systemClock, latencyMs, onDifference });
  const world = { recordings, differences, model, desk };
  const report = await perform(world, options, { ...options.service, providerUrl: provider.url, deskUrl: desk.url });
  const resumed = await inspectDatabase(options, differences);
  assert.equal(differences.length, 0, describe(differences));
  return { ...report, resumed };
}

async function perform(
  world: World,
  { processes, disturbed, seed }: RehearsalOptions,
  serviceOptions: ServiceOptions,
): Promise<Omit<Report, "resumed">> {
  const { recordings, differences, model, desk } = world;
  await using service = startServiceProcesses(processes, serviceOptions, seededRandom(seed));
  const api = createApi(() => service.url());
  await service.url();
  const startedAt = systemClock.monotonic();
  const tasks = await converseAll({ ...world, service, api }, disturbed);
  const seconds = (systemClock.monotonic() - startedAt) / 1_000;
  await inParallel(recordings, (recording, index) => compare({ api, differences }, recording, tasks[index] ?? []));
  compareEffects(world);
  differences.push(...service.errors());
  const watched = tasks.flat();
  return {
    tasks: watched.length,
    entries: watched.reduce((sum, { entries }) => sum + entries.length, 0),
    seconds,
    kills: service.kills,
    modelCalls: model.calls(),
    repeatedModelCalls: model.repeatedCalls(),
    repeatedToolCalls: desk.repeated.read + desk.repeated.idempotent,
    brokenRequests: api.broken,
  };
}

/** Has all conversations, 16 at a time. @returns what was watched of the tasks of each */
async function converseAll(
  { recordings, differences, service, api }: World & { service: ServiceProcesses; api: Api },
  disturbed: boolean,
): Promise<Watched[][]> {
  const done = new AbortController();
  const harassed = disturbed ? service.harass(done.signal) : Promise.resolve();
  try {
    return await inParallel(recordings, (recording) => converse(api, recording));
  } catch (error) {
    throw new Error(describe([...differences, ...service.errors()]), { cause: error });
  } finally {
    done.abort();
    await harassed;
  }
}

/** What the service says in the end of one conversation, and what it said meanwhile, beside the recording. */
async function compare(
  { api, differences }: { api: Api; differences: string[] },
  recording: Recording,
  tasks: readonly Watched[],
): Promise<void> {
  const { name, exchanges } = recording;
  const note = (what: string, compared: () => void): void => {
    try {
      compared();
    } catch (error) {
      differences.push(`${name}, ${what}: ${(error as Error).message}`);
    }
  };
  for (const [index, exchange] of exchanges.entries()) {
    const { entries = [], result, misshown = [] } = tasks[index] ?? {};
    const journal = (await api.list<Entry>(`/tasks/${result?.task_id}/journal?limit=20`)).flat();
    note(`journal of task ${index}`, () => assert.deepEqual(storyOf(journal), journalOf(recording, exchange)));
    note(`events of task ${index}`, () => assert.deepEqual(entries, journal));
    note(`result of task ${index}`, () => {
      const { output, steps_used: steps, tool_calls: calls, error } = result ?? {};
      const said = exchange.turns.map(({ text }) => text);
      assert.deepEqual(
        { output, steps, calls, error },
        {
          output: said.findLast((text) => text !== "") ?? "",
          steps: said.length,
          calls: exchange.turns.filter(({ call }) => call !== null).length,
          error: exchange.cutOff ? "empty_answer" : null,
        },
      );
    });
    note(`text in the making of task ${index}`, () => assert.deepEqual(misshown, []));
  }
  const taskIds = tasks.map(({ result }) => result.task_id);
  // Each page holds what was said before the page before it.
  const messages = (await api.list<Message>(`/sessions/${name}/messages?limit=4`)).toReversed().flat();
  note("session", () => assert.deepEqual(messages, sessionOf(recording, taskIds)));
  const { items } = await api.get<Page<TaskSummary>>(`/tasks?session_id=${name}&limit=200`);
  note("tasks", () => assert.deepEqual(items.map(({ task_id: id }) => id).toReversed(), taskIds));
}

function compareEffects({ recordings, desk, differences }: World): void {
  for (const recording of recordings) {
    const made = desk.effects.get(recording.name) ?? [];
    const recorded = callsOf(recording).map(({ tool }) => tool);
    const writes = (tools: readonly string[]): string => tools.filter((tool) => effectOf(tool) !== "read").join(", ");
    if (made.join() !== recorded.join()) {
      differences.push(`${recording.name}: the effects are [${writes(made)}], recorded are [${writes(recorded)}]`);
    }
  }
}

/** @returns the number of tasks that were claimed more than once */
async function inspectDatabase({ openDatabase }: RehearsalOptions, differences: string[]): Promise<number> {
  const database = await openDatabase();
  try {
    const [zombies] = await database.query<{ entries: number }>({
      text: `select count(*)::int as entries from (
               select epoch < lag(epoch) over (partition by task_id order by seq) as is_late from entry) as each
             where is_late`,
      values: [],
    });
    if (zombies?.entries !== 0)
      differences.push(`${zombies?.entries} entries were written under a lease that was over`);
    const [resumed] = await database.query<{ tasks: number }>({
      text: "select count(*)::int as tasks from task where epoch > 1",
      values: [],
    });
    return resumed?.tasks ?? 0;
  } finally {
    await database.close();
  }
}

async function inParallel<Item, Result>(
  items: readonly Item[],
  run: (item: Item, index: number) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  const queue = items.entries();
  const work = async (): Promise<void> => {
    for (const [index, item] of queue) results[index] = await run(item, index);
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return results;
}

function describe(differences: readonly string[]): string {
  const shown = differences.slice(0, 5).join("\n\n");
  return `${differences.length} differences from the recordings; the first of them:\n\n${shown}`;
}
