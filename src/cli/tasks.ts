/** `holdfast tasks`: what was asked of the agents, the newest first. */
import { InvalidArgumentError, type Command } from "commander";
import type { TaskStatus, TaskSummary } from "../client/wire.ts";
import { withServer, withUrl, type Client, type UrlFlag } from "./connect.ts";
import { verb, type Context } from "./context.ts";
import { ago, duration, money } from "./quantities.ts";
import { renderTable, type Column } from "./table.ts";
import { oneLine } from "./terminal.ts";
import { statusFormat } from "./wording.ts";

const statuses: readonly string[] = [
  "pending",
  "running",
  "waiting",
  "completed",
  "failed",
  "cancelled",
] satisfies TaskStatus[];

export function tasksCommand(context: Context): Command {
  return withUrl(
    verb("tasks", {
      summary: "list tasks",
      description: "Lists tasks, the newest first.",
      examples: [
        ["tasks", "the last twenty"],
        ["tasks --status waiting", "those that wait: for a human, or to be tried again"],
        ["tasks --session s-42 --json", "those of a conversation, for a program"],
      ],
    }),
  )
    .option("-s, --status <status>", `only: ${statuses.join(", ")}`, parseStatus)
    .option("-a, --agent <name>", "only of this agent")
    .option("--session <id>", "only of this conversation")
    .option("-n, --limit <number>", "at most so many", parseCount, 20)
    .option("--cursor <cursor>", "go on where a list ended")
    .option("--json", "print the page as JSON")
    .action((flags: TasksFlags) => withServer(context, flags, (client) => listTasks(context, client, flags)));
}

interface TasksFlags extends UrlFlag {
  readonly status?: TaskStatus;
  readonly agent?: string;
  readonly session?: string;
  readonly limit: number;
  readonly cursor?: string;
  readonly json?: true;
}

async function listTasks({ terminal, clock }: Context, client: Client, flags: TasksFlags): Promise<void> {
  const { status, agent, session, limit, cursor } = flags;
  const page = await client.tasks({ status, agent, session_id: session, limit, cursor });
  if (flags.json) return terminal.json(page);
  if (page.items.length === 0) return terminal.note("There are no such tasks.");
  for (const line of renderTable(page.items, taskColumns(clock.now()), terminal)) terminal.print(line);
  if (page.next_cursor !== null) terminal.note(terminal.paintNote("dim", `More with --cursor ${page.next_cursor}`));
}

export function taskColumns(now: number): Column<TaskSummary>[] {
  return [
    { title: "TASK", value: (task) => task.task_id },
    { title: "STATUS", value: ({ status, error }) => error ?? status, format: statusFormat },
    { title: "AGENT", value: ({ agent }) => agent, shrinks: true },
    { title: "ASKED", value: ({ created_at: at }) => ago(now - Date.parse(at)) },
    { title: "TOOK", value: ({ duration_ms: ms }) => duration(ms), align: "right", spare: true },
    { title: "STEPS", value: ({ steps_used: steps }) => String(steps), align: "right", spare: true },
    {
      title: "TOKENS",
      value: ({ tokens_used: tokens }) => tokens.toLocaleString("en-US"),
      align: "right",
      spare: true,
    },
    { title: "COST", value: ({ cost_usd: usd }) => (usd === null ? "?" : money(usd)), align: "right" },
    { title: "PROMPT", value: ({ prompt }) => oneLine(prompt), shrinks: true },
  ];
}

export function parseCount(text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number > 0) return number;
  throw new InvalidArgumentError("It must be a whole number above 0.");
}

function parseStatus(text: string): TaskStatus {
  if (statuses.includes(text)) return text as TaskStatus;
  throw new InvalidArgumentError(`It is one of: ${statuses.join(", ")}.`);
}
