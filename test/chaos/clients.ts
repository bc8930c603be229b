/**
 * The clients of the chaos run: conversations over HTTP, one after another in each lane, with follow-ups that are sent at
 * once or when the task before has ended. What a client was told is kept, to be held against what is stored in the end.
 */
import { HoldfastError } from "../../src/platform/errors.ts";
import type { Clock } from "../../src/platform/clock.ts";
import type { Random } from "../../src/platform/random.ts";
import type { Client, TaskEvent } from "../../src/client/index.ts";
import { agentName } from "./agent.ts";

export interface Told {
  readonly taskId: string;
  readonly sessionId: string;
  /** In its session, from 0, as the tasks were accepted. */
  readonly place: number;
  readonly entries: (TaskEvent & { type: "entry" })["entry"][];
  result: (TaskEvent & { type: "result" })["result"] | undefined;
}

export interface Clients {
  readonly told: readonly Told[];
  /** Rejects when an answer came that no fault explains. */
  readonly failed: Promise<never>;
  /** Begins no more conversations; resolves when all tasks have ended, or with what is left after that time. */
  finish(withinMs: number): Promise<void>;
}

const lanes = 16;
const mostTasksOfSession = 4;

export function startClients(deps: { client: Client; clock: Clock; random: Random }): Clients {
  const told: Told[] = [];
  const enough = new AbortController();
  const giveUp = new AbortController();
  const running = Promise.all(
    Array.from({ length: lanes }, async (_, lane) => {
      for (let turn = 0; !enough.signal.aborted; turn++) {
        await converse(deps, { sessionId: `lane-${lane}-${turn}`, told, signal: giveUp.signal });
      }
    }),
  );
  return {
    told,
    failed: failureOf(running),
    async finish(withinMs) {
      enough.abort();
      const cancel = deps.clock.timer(withinMs, () => giveUp.abort());
      await running;
      cancel();
    },
  };
}

async function converse(
  deps: { client: Client; clock: Clock; random: Random },
  { sessionId, told, signal }: { sessionId: string; told: Told[]; signal: AbortSignal },
): Promise<void> {
  const { client, clock, random } = deps;
  const watching: Promise<void>[] = [];
  const tasks = 1 + Math.floor(random() * mostTasksOfSession);
  for (let place = 0; place < tasks && !signal.aborted; place++) {
    const body = { agent: agentName, session_id: sessionId, prompt: `Errand ${place}` };
    const idempotencyKey = `${sessionId}/${place}`;
    const accepted = await untilAnswered(clock, signal, () => client.submit(body, { idempotencyKey, signal }));
    if (accepted === undefined) break;
    const task: Told = { taskId: accepted.task_id, sessionId, place, entries: [], result: undefined };
    told.push(task);
    const watched = watch(deps, task, signal);
    // It may fail while the next task is submitted: then it is thrown below.
    watched.catch(() => undefined);
    watching.push(watched);
    if (random() < 0.5) await watched;
  }
  await Promise.all(watching);
}

async function watch(
  { client, clock }: { client: Client; clock: Clock },
  task: Told,
  signal: AbortSignal,
): Promise<void> {
  await untilAnswered(clock, signal, async () => {
    for await (const event of client.events(task.taskId, { after: task.entries.at(-1)?.seq ?? 0, signal })) {
      if (event.type === "entry") task.entries.push(event.entry);
      if (event.type === "result") task.result = event.result;
    }
  });
}

/** Tries again for as long as trying again may help. Undefined: the signal aborted. */
export async function untilAnswered<Result>(
  clock: Clock,
  signal: AbortSignal,
  ask: () => Promise<Result>,
): Promise<Result | undefined> {
  while (!signal.aborted) {
    try {
      return await ask();
    } catch (error) {
      if (signal.aborted) return undefined;
      // An answer that breaks off in the middle is an error of `fetch`.
      if (error instanceof HoldfastError && error.retry === "never") throw error;
    }
    await clock.sleep(100, signal).catch(() => undefined);
  }
  return undefined;
}

/** Rejects with what a piece of work fails with, and never resolves: for a race with something else. */
export function failureOf(work: Promise<unknown>): Promise<never> {
  const failed = work.then(() => new Promise<never>(() => {}));
  // Whoever does not race is told by the work itself.
  failed.catch(() => undefined);
  return failed;
}
