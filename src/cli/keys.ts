/** `holdfast keys`: who may call models through the gateway's endpoints, which, and for how much. */
import { Argument, InvalidArgumentError, type Command } from "commander";
import type { Key, KeyBody } from "../client/wire.ts";
import { withServer, withUrl, type Client, type UrlFlag } from "./connect.ts";
import { verb, type Context } from "./context.ts";
import { usageError } from "./failure.ts";
import { ago, money, parseDays } from "./quantities.ts";
import { renderTable, type Column } from "./table.ts";
import { parseCount } from "./tasks.ts";

type Action = "create" | "list" | "revoke";

export function keysCommand(context: Context): Command {
  return withUrl(
    verb("keys", {
      summary: "make, list and revoke virtual keys for the gateway",
      description:
        "A program that calls models at /v1 names itself by a virtual key: which models it may call, how fast, and what " +
        "it may spend. The secret is shown once. As long as there is no key at all, programs on this machine need none.",
      examples: [
        ["keys create --name ci --models 'openai/*' --budget-day 5", "a key that may spend $5 a day"],
        ["keys create --name app --models agent/support --requests 60", "one that may ask one agent once a second"],
        ["keys list", "the keys, and what is spent of their budgets"],
        ["keys revoke <id>", "from now on it is of no use"],
      ],
    }),
  )
    .addArgument(new Argument("[action]", "what to do").choices(["create", "list", "revoke"]).default("list"))
    .argument("[id]", "with revoke: the key's id")
    .option("--name <name>", "what it is called in lists")
    .option("--tenant <tenant>", "whom its calls count for")
    .option(
      "--models <patterns>",
      "the models it may call; a comma separates several, * stands for anything",
      parseList,
    )
    .option("--budget-day <usd>", "what it may spend in a day (of UTC)", parseAmount)
    .option("--budget-month <usd>", "in a month", parseAmount)
    .option("--budget-total <usd>", "ever", parseAmount)
    .option("--requests <number>", "requests in a minute", parseAmount)
    .option("--tokens <number>", "tokens in a minute", parseAmount)
    .option("--expires <duration>", "of no use after that long, like 90d or 12h", parseDuration)
    .option("-n, --limit <number>", "list at most so many", parseCount, 50)
    .option("--cursor <cursor>", "go on where a list ended")
    .option("--json", "print JSON")
    .action((action: Action, id: string | undefined, flags: KeysFlags) =>
      withServer(context, flags, (client) => {
        if (action === "create") return createKey(context, client, flags);
        return action === "revoke" ? revokeKey(context, client, { id, ...flags }) : listKeys(context, client, flags);
      }),
    );
}

interface KeysFlags extends UrlFlag {
  readonly name?: string;
  readonly tenant?: string;
  readonly models?: string[];
  readonly budgetDay?: number;
  readonly budgetMonth?: number;
  readonly budgetTotal?: number;
  readonly requests?: number;
  readonly tokens?: number;
  /** Days. */
  readonly expires?: number;
  readonly limit: number;
  readonly cursor?: string;
  readonly json?: true;
}

async function createKey({ terminal, clock }: Context, client: Client, flags: KeysFlags): Promise<void> {
  if (flags.name === undefined) throw usageError("Give it a name: --name.");
  const { expires } = flags;
  const body: KeyBody = {
    name: flags.name,
    tenant: flags.tenant,
    models: flags.models,
    budget_usd: { day: flags.budgetDay, month: flags.budgetMonth, total: flags.budgetTotal },
    requests_per_minute: flags.requests,
    tokens_per_minute: flags.tokens,
    ...(expires !== undefined && { expires_at: new Date(clock.now() + expires * 86_400_000).toISOString() }),
  };
  const key = await client.createKey(body);
  if (flags.json) return terminal.json(key);
  terminal.print(key.secret);
  terminal.note(terminal.paintNote("dim", `This is the only time it is shown. Its id, for revoking it: ${key.id}`));
}

async function revokeKey(
  { terminal }: Context,
  client: Client,
  { id, json }: KeysFlags & { id: string | undefined },
): Promise<void> {
  if (id === undefined) throw usageError("Say which: `holdfast keys revoke <id>`; `holdfast keys list` has the ids.");
  await client.revokeKey(id);
  if (json) return terminal.json({ id, revoked: true });
  terminal.print(`${terminal.paint("green", "✓")} Key ${id} is of no use any more.`);
}

async function listKeys(
  { terminal, clock }: Context,
  client: Client,
  { limit, cursor, json }: KeysFlags,
): Promise<void> {
  const page = await client.keys({ limit, cursor });
  if (json) return terminal.json(page);
  if (page.items.length === 0) return terminal.note("There are no keys: programs on this machine need none.");
  for (const line of renderTable(page.items, keyColumns(clock.now()), terminal)) terminal.print(line);
  if (page.next_cursor !== null) terminal.note(terminal.paintNote("dim", `More with --cursor ${page.next_cursor}`));
}

function keyColumns(now: number): Column<Key>[] {
  return [
    { title: "KEY", value: ({ id }) => id },
    { title: "NAME", value: ({ name }) => name, shrinks: true },
    { title: "SECRET", value: ({ prefix }) => `${prefix}…` },
    {
      title: "STATUS",
      value: ({ status }) => status,
      format: ({ status }) => (status === "active" ? "green" : "red"),
    },
    { title: "MODELS", value: ({ models }) => (models.length === 0 ? "all" : models.join(", ")), shrinks: true },
    { title: "SPENT", value: spentOf, spare: true },
    { title: "MADE", value: ({ created_at: at }) => ago(now - Date.parse(at)), spare: true },
  ];
}

/** Of the narrowest budget it has. */
function spentOf({ budget_usd: budget, spent_usd: spent }: Key): string {
  for (const window of ["day", "month", "total"] as const) {
    if (budget[window] !== null) return `${money(spent[window])} of ${money(budget[window])} (${window})`;
  }
  return money(spent.total);
}

function parseList(text: string): string[] {
  const patterns = text.split(",").flatMap((pattern) => pattern.trim() || []);
  if (patterns.length === 0) throw new InvalidArgumentError("Name at least one; a comma separates several.");
  return patterns;
}

function parseAmount(text: string): number {
  const amount = Number(text);
  if (Number.isFinite(amount) && amount > 0) return amount;
  throw new InvalidArgumentError("It must be a number above 0.");
}

function parseDuration(text: string): number {
  const days = parseDays(text);
  if (days !== undefined) return days;
  throw new InvalidArgumentError("It must be a number of days, hours or minutes, like 90d, 12h or 30m.");
}
