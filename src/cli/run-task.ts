/** One task from its prompt to its end, in front of a person or of nobody. */
import { resultOf } from "../client/event-stream.ts";
import type { AgentResult, Approval, QuestionEntry, TaskBody } from "../client/wire.ts";
import { createBackground } from "../platform/background.ts";
import { HoldfastError, messageOf } from "../platform/errors.ts";
import { askHuman, type HumanAnswer } from "./ask-human.ts";
import { operator, type Client } from "./connect.ts";
import { exitCodes, type Context } from "./context.ts";
import type { LineReader } from "./line-reader.ts";
import { createLiveView, type LiveView } from "./live-view.ts";
import { inTwoStages } from "./signals.ts";
import { oneLine, printable } from "./terminal.ts";
import { decisions, questionText, statusFormat, statusText, usageText } from "./wording.ts";

export interface RunDeps {
  readonly context: Context;
  readonly client: Client;
  readonly reader: LineReader;
  /** Print only the result, as JSON, and ask nothing. */
  readonly json: boolean;
  /** The server lives in this process, and ends with it. */
  readonly hostedHere: boolean;
}

export interface RunOutcome {
  readonly exitCode: number;
  readonly sessionId: string;
}

interface Watch extends RunDeps {
  readonly taskId: string;
  readonly view: LiveView;
  /** Stops the task; a second time, leaves at once. */
  readonly interrupt: () => void;
  /** Told that the task waits for a batch API, and nobody here for the task. */
  readonly handIn: () => void;
}

export async function runTask(deps: RunDeps, body: TaskBody): Promise<RunOutcome> {
  const { client, context } = deps;
  const { task_id: taskId, session_id: sessionId, message_id: messageId } = await client.submit(body);
  const background = createBackground((_name, error) => context.terminal.note(messageOf(error)));
  let interrupted = false;
  let handedIn = false;
  const interrupt = inTwoStages(context.clock, {
    first: () => {
      interrupted = true;
      // The task that took the message is somebody else's: it goes on without this reader.
      if (messageId !== undefined) process.exit(exitCodes.interrupted);
      context.terminal.note(context.terminal.paintNote("dim", "\nCancelling; once more to leave at once."));
      background.start("cancel", () => cancel(client, taskId));
    },
    again: () => process.exit(exitCodes.interrupted),
  });
  process.on("SIGINT", interrupt);
  try {
    const view = createLiveView(context.terminal);
    const handIn = (): void => void (handedIn = true);
    const watching = { ...deps, taskId, view, interrupt, handIn };
    const result = messageId === undefined ? await watch(watching) : await watchMessage(watching, messageId);
    await background.settled();
    if (interrupted) return { exitCode: exitCodes.interrupted, sessionId };
    return { exitCode: handedIn ? 0 : exitCodeOf(result), sessionId };
  } finally {
    process.off("SIGINT", interrupt);
  }
}

/** Shows what follows the message in the task it was left for; or, if that never heard it, the task it became. */
async function watchMessage(deps: Watch, messageId: string): Promise<AgentResult> {
  const { client, taskId, context } = deps;
  context.terminal.note(context.terminal.paintNote("dim", `Given to task ${taskId}, which is at work.`));
  for await (const event of client.events(taskId)) {
    if (event.type === "result") return watch({ ...deps, taskId: messageId });
    if (event.type !== "entry") continue;
    const { entry } = event;
    if (entry.kind === "message" && entry.message_id === messageId) return watch(deps, entry.seq);
    // The task hears nothing until its question is answered.
    if (entry.kind === "question" && (await isOpen(client, entry))) return leaveOpen(deps);
  }
  throw streamEnded(taskId);
}

async function isOpen(client: Client, { approval_id: id }: QuestionEntry): Promise<boolean> {
  return (await client.approval(id)).status === "pending";
}

/** @returns the result at the end, or as it stands when a question is left open */
async function watch(deps: Watch, after = 0): Promise<AgentResult> {
  const { client, taskId, view, json, context } = deps;
  for await (const event of client.events(taskId, { after })) {
    if (!json) view.show(event);
    if (event.type === "result") {
      showEnd(deps, event.result);
      return event.result;
    }
    if (event.type !== "entry") continue;
    if (event.entry.kind === "deferred") return leaveDeferred(deps, event.entry);
    if (event.entry.kind !== "question") continue;
    view.endLine();
    const asked = context.terminal.canAsk && !json ? await answerHere(deps, event.entry) : "left";
    if (asked === "left") return leaveOpen(deps);
  }
  throw streamEnded(taskId);
}

function streamEnded(taskId: string): HoldfastError {
  return new HoldfastError("stream_ended", `The server ended the stream of task ${taskId} before the task has ended.`);
}

async function answerHere(deps: Watch, entry: QuestionEntry): Promise<"answered" | "left"> {
  const { client, context, reader } = deps;
  const { terminal } = context;
  for (;;) {
    const given: HumanAnswer = await askHuman({ ...entry, kind: entry.question }, { terminal, reader });
    if (given.type === "later") return "left";
    if (given.type === "interrupt") {
      deps.interrupt();
      return "answered";
    }
    try {
      await client.answer(entry.approval_id, { ...given.body, by: operator() });
      return "answered";
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      terminal.print(terminal.paint("yellow", `  ${printable(error.message)}`));
      // Someone else was faster, or the task has ended: the stream tells how it goes on.
      if (error.code === "approval_answered") return "answered";
      if (error.retry !== "never") throw error;
    }
  }
}

/** Nobody decides here: says what waits and how it is answered. */
async function leaveOpen({ client, context, taskId, json, hostedHere }: Watch): Promise<AgentResult> {
  const [result, { items }] = await Promise.all([client.task(taskId), client.approvals({ task_id: taskId })]);
  if (json) {
    context.terminal.json(resultOf(result));
    return result;
  }
  const { terminal, command } = context;
  terminal.note(`${terminal.paintNote("magenta", "waiting:")} task ${taskId} goes on when this is answered:`);
  for (const approval of items) for (const line of howToAnswer(approval, command)) terminal.note(line);
  if (hostedHere)
    terminal.note(terminal.paintNote("dim", `No server runs now: start one with \`${command} dev\` first.`));
  return result;
}

/** It may take hours, and needs nobody: says what it waits for and how to see what comes of it. */
async function leaveDeferred(
  { client, context, taskId, json, view, hostedHere, handIn }: Watch,
  { model, until }: { model: string; until: string },
): Promise<AgentResult> {
  handIn();
  const result = await client.task(taskId);
  const { terminal, command } = context;
  if (json) {
    terminal.json(resultOf(result));
    return result;
  }
  view.endLine();
  const at = new Date(until);
  const latest = `${at.toLocaleDateString("sv-SE")} ${at.toTimeString().slice(0, 5)}`;
  terminal.note(
    `${terminal.paintNote("cyan", "deferred:")} task ${taskId} waits for the batch API of ${model}, at half the price.`,
  );
  terminal.note(`If no answer has come by ${latest}, it calls the model directly.`);
  if (hostedHere) terminal.note(`No server runs now, and only one sends it: start one with \`${command} dev\`.`);
  terminal.note(terminal.paintNote("dim", `See what comes of it: ${command} task ${taskId} --follow`));
  return result;
}

function howToAnswer(approval: Approval, command: string): string[] {
  const words = decisions[approval.kind].map(({ word }) => word).join("|");
  return [`  ${questionText(approval)} ${oneLine(approval.reason)}`, `  ${command} approvals ${approval.id} ${words}`];
}

function showEnd({ context: { terminal }, view, json }: Watch, result: AgentResult): void {
  if (json) return terminal.json(result);
  view.endLine();
  const { paintNote } = terminal;
  const status = paintNote(statusFormat(result), statusText(result));
  terminal.note(`${status}${paintNote("dim", ` · ${usageText(result)} · task ${result.task_id}`)}`);
}

async function cancel(client: Client, taskId: string): Promise<void> {
  try {
    await client.cancel(taskId, { by: operator() });
  } catch (error) {
    // It ended while the key was pressed.
    if (!(error instanceof HoldfastError && error.code === "task_ended")) throw error;
  }
}

function exitCodeOf({ status }: AgentResult): number {
  if (status === "completed") return 0;
  return status === "waiting" || status === "running" || status === "pending"
    ? exitCodes.needsAnswer
    : exitCodes.failed;
}
