/** `holdfast task ID`: the journal of a task as a story. */
import { InvalidArgumentError, type Command } from "commander";
import type { Entry, Task } from "../client/wire.ts";
import { operator, withServer, withUrl, type Client, type UrlFlag } from "./connect.ts";
import { verb, type Context } from "./context.ts";
import { renderEntry, renderHeading, renderPrompt } from "./timeline.ts";
import { statusFormat, usageText } from "./wording.ts";

export function taskCommand(context: Context): Command {
  return withUrl(
    verb("task", {
      summary: "show what happened in a task",
      description:
        "Tells what happened in a task, from its journal: what the model said and asked for, what the tools answered, " +
        "what humans were asked and decided, what failed and when it is tried again.",
      examples: [
        ["task <id>", "the story so far"],
        ["task <id> --follow", "and what comes, until it ends"],
        ["task <id> --cancel", "stop it"],
        ["task <id> --json", "the entries of the journal"],
      ],
    }),
  )
    .argument("<id>", "the task's id", parseId)
    .option("-f, --follow", "go on until the task ends")
    .option("--cancel", "stop the task")
    .option("--json", "print the journal's entries as JSON; with --follow one a line")
    .action((id: string, flags: TaskFlags) =>
      withServer(context, flags, async (client) => {
        if (flags.cancel) await cancelTask(context, client, { id, json: flags.json });
        else if (flags.follow) await followTask(context, client, { id, json: flags.json });
        else await showTask(context, client, { id, json: flags.json });
      }),
    );
}

interface TaskFlags extends UrlFlag {
  readonly follow?: true;
  readonly cancel?: true;
  readonly json?: true;
}

interface Wanted {
  readonly id: string;
  readonly json: true | undefined;
}

async function showTask(context: Context, client: Client, { id, json }: Wanted): Promise<void> {
  const { terminal } = context;
  const task = await client.task(id);
  const entries = await readJournal(client, id);
  if (json) return terminal.json(entries);
  const lines = [
    ...renderHeading(task, terminal),
    "",
    ...renderPrompt(task, terminal),
    ...entries.flatMap((entry) => renderEntry(entry, Date.parse(task.created_at), terminal)),
  ];
  for (const line of lines) terminal.print(line);
  sayWhatNow(task, context);
}

async function followTask({ terminal }: Context, client: Client, { id, json }: Wanted): Promise<void> {
  const task = await client.task(id);
  const show = (entry: Entry): void => {
    if (json) return terminal.write(`${JSON.stringify(entry)}\n`);
    for (const line of renderEntry(entry, Date.parse(task.created_at), terminal)) terminal.print(line);
  };
  if (!json)
    for (const line of [...renderHeading(task, terminal), "", ...renderPrompt(task, terminal)]) terminal.print(line);
  for await (const event of client.events(id)) {
    if (event.type === "entry") show(event.entry);
    if (event.type === "result" && !json) terminal.note(terminal.paintNote("dim", usageText(event.result)));
  }
}

async function cancelTask({ terminal }: Context, client: Client, { id, json }: Wanted): Promise<void> {
  const result = await client.cancel(id, { by: operator() });
  if (json) return terminal.json(result);
  const { status } = result;
  terminal.print(
    status === "cancelled"
      ? `Task ${id} is ${terminal.paint(statusFormat(result), status)}.`
      : `Task ${id} is ${status}; it stops as soon as what it is doing can be left.`,
  );
}

async function readJournal(client: Client, id: string): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (let cursor: string | undefined; ;) {
    const page = await client.journal(id, { cursor });
    entries.push(...page.items);
    if (page.next_cursor === null) return entries;
    cursor = page.next_cursor;
  }
}

function sayWhatNow({ status, dead_letter: deadLetter, task_id: id }: Task, { terminal, command }: Context): void {
  const hint = (text: string): void => terminal.note(terminal.paintNote("dim", `\n${text}`));
  if (deadLetter) hint(`Set it going again: ${command} dead-letters ${id} replay`);
  else if (status === "running" || status === "pending") hint(`Watch it: ${command} task ${id} --follow`);
  else if (status === "waiting") hint(`What it waits for: ${command} approvals --task ${id}`);
}

/** The API would not find it either, but could not say what an id looks like. */
export function parseId(text: string): string {
  if (/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i.test(text)) return text.toLowerCase();
  throw new InvalidArgumentError("An id looks like 0192f1c4-7d3a-7b5e-9c1d-2e8f4a6b0c1d.");
}
