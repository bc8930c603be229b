/**
 * What the processes of steering-crash.test.ts do, and die doing: a task that is told two things while it works, one by the
 * way, one that cuts off its model turn. What was answered goes to a file that outlives the process, line by line.
 */
import { createHoldfast, defineAgent, defineConfig, defineTool, type Holdfast } from "../../src/index.ts";
import { readSettings } from "../../src/platform/settings.ts";
import type { Database, Statement } from "../../src/store/database.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { scriptedGateway } from "../../src/testing/scripted-model.ts";
import { reportStatements } from "./crashing-database.ts";
import type { Reach, Scenario } from "./killed-process.ts";
import { openLineFile, type LineFile } from "./line-file.ts";
import { journalOf, until } from "./running-holdfast.ts";

/** What somebody was answered. */
export interface Answered {
  readonly round: string;
  readonly prompt: "work" | "note" | "stop" | "end";
  readonly taskId: string;
  readonly messageId: string | null;
}

export function openAnswers(path: string): LineFile<Answered> {
  return openLineFile(path);
}

export async function startSteering(options: {
  database: Database;
  answers: LineFile<Answered>;
  reach: Reach;
  leaseMs: number;
}): Promise<Scenario> {
  const { database, answers, reach, leaseMs } = options;
  /** By task: whether its tool runs, and whether it may end; whether its long turn is under way. */
  const holding = new Set<string>();
  const noted = new Map<string, PromiseWithResolvers<void>>();
  const thinking = new Set<string>();
  const gateOf = (session: string): PromiseWithResolvers<void> => {
    const gate = noted.get(session) ?? Promise.withResolvers<void>();
    noted.set(session, gate);
    return gate;
  };
  const hold = defineTool({
    name: "hold",
    version: "1.0.0",
    description: "Holds on until the note is there.",
    effect: "idempotent",
    input: { type: "object" },
    run: async (_input, { sessionId }) => {
      await reach("hold: before");
      holding.add(sessionId);
      await gateOf(sessionId).promise;
      await reach("hold: after");
      return "held";
    },
  });
  const gateway = scriptedGateway(async ({ messages }) => {
    const [first] = messages;
    const session = first?.role === "user" ? first.text : "";
    if (messages.some((message) => message.role === "user" && message.text === "stop")) return { text: "Done." };
    if (!messages.some(({ role }) => role === "tool")) return { calls: [{ id: "hold", name: "hold", input: {} }] };
    await reach("long turn: before");
    thinking.add(session);
    return { first: "Working", gate: new Promise(() => {}) };
  });
  const agent = defineAgent({ name: "worker", instructions: "Work.", tools: ["hold"] });
  const holdfast = await createHoldfast(defineConfig({ agents: [agent], tools: [hold] }), {
    settings: readSettings({}),
    parts: { database: reportStatements(database, pointsOf, reach), gateway, log: silentLogger },
    tuning: { leaseMs, pollMs: 50 },
  });
  const send = async (round: string, prompt: "work" | "note" | "stop") => {
    const whileBusy = prompt === "note" ? "inject" : prompt === "stop" ? "interrupt" : "queue";
    const said = prompt === "work" ? round : prompt;
    const key = `${round}/${prompt}`;
    const handle = await holdfast.submit({ prompt: said, sessionId: round, whileBusy, idempotencyKey: key });
    answers.write({ round, prompt, taskId: handle.id, messageId: handle.messageId });
    return handle;
  };
  return {
    async play(round) {
      const task = await send(round, "work");
      await until(async () => holding.has(round) || (await told(holdfast, task.id, "tool")));
      await send(round, "note");
      gateOf(round).resolve();
      await until(async () => thinking.has(round) || (await told(holdfast, task.id, "end")));
      const message = await send(round, "stop");
      const { taskId } = await message.result();
      answers.write({ round, prompt: "end", taskId, messageId: null });
    },
    stop: () => holdfast.stop(),
  };
}

async function told(holdfast: Holdfast, taskId: string, what: "tool" | "end"): Promise<boolean> {
  const journal = await journalOf(holdfast, taskId);
  return journal.some((entry) => entry.kind === what || (entry.kind === "message" && entry.prompt === "stop"));
}

/** Each write of the task, and each message. */
function pointsOf({ name, text, values }: Statement): string[] {
  if (name === "submit" || name === "finish") return [name];
  if (text.includes("insert into inbox"))
    return [`deliver ${JSON.stringify(values).includes("stop") ? "stop" : "note"}`];
  // Entries travel as arrays, one per column: task ids, epochs, numbers, kinds, …
  if (name === "append") return [`append ${String(values[4])}`];
  if (text.includes("set heard = true"))
    return [`hear ${String(values[6])} up to ${Math.max(...(values[5] as number[]))}`];
  return [];
}
