/** `holdfast usage`: what calls to models used and cost. */
import { InvalidArgumentError, Option, type Command } from "commander";
import type { UsageDimension, UsagePurpose, UsageSum } from "../client/wire.ts";
import { usageDimensions as dimensions, usagePurposes as purposes } from "../store/queries/usage-report.ts";
import { withServer, withUrl, type Client, type UrlFlag } from "./connect.ts";
import { verb, type Context } from "./context.ts";
import { money, parseDays } from "./quantities.ts";
import { renderTable, type Column } from "./table.ts";
import { parseCount } from "./tasks.ts";
import { oneLine } from "./terminal.ts";

const dayMs = 86_400_000;

export function usageCommand(context: Context): Command {
  const { clock } = context;
  const parseTime = (text: string): string => toTime(text, clock.now());
  return withUrl(
    verb("usage", {
      summary: "show what calls to models used and cost",
      description:
        "Sums up what calls to models used and cost: those of tasks, and those that programs made themselves. The dearest " +
        "come first. A cost with a + is without calls whose price is unknown.",
      examples: [
        ["usage", "by agent and model"],
        ["usage --by day --from 30d", "day after day"],
        ["usage --by session --user ann", "what the conversations of a user cost"],
        ["usage --by user,model --csv > usage.csv", "for a spreadsheet"],
      ],
    }),
  )
    .option("-b, --by <what>", `several with commas between: ${dimensions.join(", ")}`, parseBy, ["agent", "model"])
    .option(
      "--from <time>",
      "from a day or time on (2026-11-01, 2026-11-01T12:00:00Z), or so long ago (7d, 12h)",
      parseTime,
    )
    .option("--to <time>", "before a day, a time, or so long ago", parseTime)
    .option("-a, --agent <name>", "only of this agent")
    .option("--session <id>", "only of this conversation")
    .option("--user <id>", "only of this user")
    .option("-m, --model <name>", "only of this model")
    .addOption(new Option("--purpose <what>", "only of this purpose").choices(purposes))
    .option("-n, --limit <number>", "at most so many", parseCount, 50)
    .option("--cursor <cursor>", "go on where a list ended")
    .option("--csv", "print comma-separated values")
    .option("--json", "print the page as JSON")
    .action((flags: UsageFlags) => withServer(context, flags, (client) => showUsage(context, client, flags)));
}

interface UsageFlags extends UrlFlag {
  readonly by: readonly UsageDimension[];
  readonly from?: string;
  readonly to?: string;
  readonly agent?: string;
  readonly session?: string;
  readonly user?: string;
  readonly model?: string;
  readonly purpose?: UsagePurpose;
  readonly limit: number;
  readonly cursor?: string;
  readonly csv?: true;
  readonly json?: true;
}

async function showUsage({ terminal }: Context, client: Client, flags: UsageFlags): Promise<void> {
  const { by, from, to, agent, session, user, model, purpose, limit, cursor } = flags;
  const query = { by, from, to, agent, session_id: session, user_id: user, model, purpose, limit, cursor };
  if (flags.csv) return terminal.print((await client.usageCsv(query)).trimEnd());
  const page = await client.usage(query);
  if (flags.json) return terminal.json(page);
  if (page.items.length === 0) return terminal.note("No model was called.");
  for (const line of renderTable(page.items, usageColumns(by), terminal)) terminal.print(line);
  if (page.next_cursor !== null) terminal.note(terminal.paintNote("dim", `More with --cursor ${page.next_cursor}`));
}

export function usageColumns(by: readonly UsageDimension[]): Column<UsageSum>[] {
  const number = (title: string, value: (sum: UsageSum) => number, spare = false): Column<UsageSum> => ({
    title,
    value: (sum) => value(sum).toLocaleString("en-US"),
    align: "right",
    spare,
  });
  return [
    ...by.map((dimension) => ({ title: dimension.toUpperCase(), value: nameOf[dimension], shrinks: true })),
    number("CALLS", ({ calls }) => calls),
    number("INPUT", ({ input_tokens: tokens }) => tokens),
    number("CACHED", ({ cached_tokens: tokens }) => tokens, true),
    number("OUTPUT", ({ output_tokens: tokens }) => tokens),
    number("REASONING", ({ reasoning_tokens: tokens }) => tokens, true),
    number("FAILED", ({ failed_calls: calls }) => calls, true),
    number("ESTIMATED", ({ estimated_calls: calls }) => calls, true),
    { title: "COST", value: costOf, align: "right" },
  ];
}

const nameOf: Readonly<Record<UsageDimension, (sum: UsageSum) => string>> = {
  agent: ({ agent }) => oneLine(agent ?? "–"),
  session: ({ session_id: id }) => oneLine(id ?? "–"),
  user: ({ user_id: id }) => oneLine(id ?? "–"),
  model: ({ model }) => oneLine(model ?? "–"),
  day: ({ day }) => day ?? "–",
  key: ({ key_id: id }) => oneLine(id ?? "–"),
  purpose: ({ purpose }) => purpose ?? "–",
};

function costOf({ cost_usd: usd, unpriced_calls: unpriced }: UsageSum): string {
  if (usd === null) return "?";
  return unpriced === 0 ? money(usd) : `${money(usd)} +`;
}

function parseBy(text: string): UsageDimension[] {
  const names = text.split(",").map((name) => name.trim());
  const known = dimensions.filter((dimension) => names.includes(dimension));
  if (new Set(names).size === known.length) return [...new Set(names)] as UsageDimension[];
  throw new InvalidArgumentError(`It is one or several of: ${dimensions.join(", ")}, with commas between.`);
}

function toTime(text: string, now: number): string {
  const days = parseDays(text);
  if (days !== undefined) return new Date(now - days * dayMs).toISOString();
  if (/^\d{4}-\d\d-\d\d(T.*)?$/.test(text) && !Number.isNaN(Date.parse(text))) return text;
  throw new InvalidArgumentError("It is a day (2026-11-01), a time (2026-11-01T12:00:00Z), or so long ago (7d, 12h).");
}
