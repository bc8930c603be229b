/** `holdfast dead-letters`: tasks that failed for good, and what becomes of them. */
import { Argument, type Command } from "commander";
import type { TaskSummary } from "../client/wire.ts";
import { operator, withServer, withUrl, type Client, type UrlFlag } from "./connect.ts";
import { verb, type Context } from "./context.ts";
import { usageError } from "./failure.ts";
import { ago } from "./quantities.ts";
import { renderTable, type Column } from "./table.ts";
import { parseId } from "./task.ts";
import { parseCount } from "./tasks.ts";
import { oneLine } from "./terminal.ts";

type Action = "replay" | "discard";

export function deadLettersCommand(context: Context): Command {
  return withUrl(
    verb("dead-letters", {
      summary: "list failed tasks; replay or discard them",
      description:
        "Without an id: lists the tasks that failed and about which nobody has decided. A replay goes on from where the " +
        "task stopped, or, with --prompt, starts again with other words; in the first case no effect is repeated. A " +
        "discarded task stays failed and leaves the list.",
      examples: [
        ["dead-letters", "what failed, and why"],
        ["dead-letters <id> replay", "go on from where it stopped"],
        ['dead-letters <id> replay --prompt "Refund A-1002"', "start again with another prompt"],
        ["dead-letters <id> discard", "leave it failed"],
      ],
    }),
  )
    .argument("[id]", "the task's id", parseId)
    .addArgument(new Argument("[action]", "what becomes of it").choices(["replay", "discard"]))
    .option("--prompt <text>", "with replay: start again with this prompt")
    .option("-n, --limit <number>", "list at most so many", parseCount, 50)
    .option("--cursor <cursor>", "go on where a list ended")
    .option("--json", "print JSON")
    .action((id: string | undefined, action: Action | undefined, flags: DeadLettersFlags) =>
      withServer(context, flags, async (client) => {
        if (id === undefined) return listDeadLetters(context, client, flags);
        if (action === undefined)
          throw usageError("Say what becomes of it: replay or discard. `holdfast task <id>` tells what happened.");
        if (action === "discard") return discard(context, client, { id, ...flags });
        return replay(context, client, { id, ...flags });
      }),
    );
}

interface DeadLettersFlags extends UrlFlag {
  readonly prompt?: string;
  readonly limit: number;
  readonly cursor?: string;
  readonly json?: true;
}

async function listDeadLetters(
  context: Context,
  client: Client,
  { limit, cursor, json }: DeadLettersFlags,
): Promise<void> {
  const { terminal, clock, command } = context;
  const page = await client.deadLetters({ limit, cursor });
  if (json) return terminal.json(page);
  if (page.items.length === 0) return terminal.note("There are no dead letters.");
  for (const line of renderTable(page.items, deadLetterColumns(clock.now()), terminal)) terminal.print(line);
  if (page.next_cursor !== null) terminal.note(terminal.paintNote("dim", `More with --cursor ${page.next_cursor}`));
  terminal.note(
    terminal.paintNote(
      "dim",
      `\nWhat happened: ${command} task <id>. Then: ${command} dead-letters <id> replay|discard`,
    ),
  );
}

function deadLetterColumns(now: number): Column<TaskSummary>[] {
  return [
    { title: "TASK", value: (task) => task.task_id },
    { title: "AGENT", value: ({ agent }) => agent, shrinks: true },
    { title: "FAILED", value: ({ finished_at: at, created_at: asked }) => ago(now - Date.parse(at ?? asked)) },
    { title: "ERROR", value: ({ error }) => error ?? "", format: () => "red" },
    { title: "PROMPT", value: ({ prompt }) => oneLine(prompt), shrinks: true },
    { title: "WHY", value: ({ error_message: why }) => oneLine(why ?? ""), shrinks: true },
  ];
}

async function replay(
  { terminal, command }: Context,
  client: Client,
  { id, prompt, json }: DeadLettersFlags & { id: string },
): Promise<void> {
  const result = await client.retry(id, { by: operator(), ...(prompt !== undefined && { prompt }) });
  if (json) return terminal.json(result);
  terminal.print(
    `${terminal.paint("green", "✓")} Task ${id} goes on ${prompt === undefined ? "from where it stopped" : "with the new prompt"}.`,
  );
  terminal.note(terminal.paintNote("dim", `Watch it: ${command} task ${id} --follow`));
}

async function discard(
  { terminal }: Context,
  client: Client,
  { id, prompt, json }: DeadLettersFlags & { id: string },
): Promise<void> {
  if (prompt !== undefined) throw usageError("--prompt goes with replay alone.");
  await client.discard(id);
  if (json) return terminal.json({ task_id: id, discarded: true });
  terminal.print(`${terminal.paint("green", "✓")} Task ${id} stays failed and is off the list.`);
}
