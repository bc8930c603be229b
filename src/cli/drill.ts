/** `holdfast drill`: how fallbacks do, in drills on live calls or on a file of cases. */
import { InvalidArgumentError, type Command } from "commander";
import type { Drill, DrillPath } from "../client/wire.ts";
import { withServer, withUrl, type Client, type UrlFlag } from "./connect.ts";
import { verb, type Context } from "./context.ts";
import { evaluateFile, parseShare, withEvaluation, type EvaluationFlags } from "./evaluation.ts";
import { usageError } from "./failure.ts";
import { duration, measured, money, parseDays, percent } from "./quantities.ts";
import { renderTable, type Column } from "./table.ts";
import { parseCount } from "./tasks.ts";
import type { Terminal } from "./terminal.ts";

export function drillCommand(context: Context): Command {
  return withUrl(
    withEvaluation(
      verb("drill", {
        summary: "try out the fallback of a route, and see how it does",
        description:
          "Without a file: shows how fallbacks did in drills beside what comes first, on a running server; with --share it " +
          "starts a drill there, which ends by itself. In a drill a share of the calls goes to the fallback of its route as " +
          "if what comes first had failed. With a file of cases, as for `eval`: runs them on the fallback and on what comes " +
          "first, without a server; it ends with 1 if the fallback passes fewer cases than --at-least.",
        examples: [
          ["drill", "what the drills of the last week came to"],
          ["drill --share 10% --for 1h", "one call in ten, for an hour"],
          ["drill --stop", "no more"],
          ["drill cases.jsonl --agent support", "would the fallback do?"],
        ],
      }),
    ),
  )
    .argument("[file]", "cases, a JSON object a line")
    .option("--share <share>", "start a drill of so many calls, like 10%", parseShare)
    .option("--for <time>", "how long, like 30m or 2h (default: 1h)", parseTime)
    .option("--stop", "end the drill that was started so")
    .option("--hours <number>", "how far to look back (default: a week)", parseCount)
    .action((file: string | undefined, flags: DrillFlags) => drill(context, file, flags));
}

interface DrillFlags extends EvaluationFlags, UrlFlag {
  readonly share?: number;
  readonly for?: number;
  readonly stop?: true;
  readonly hours?: number;
}

async function drill(context: Context, file: string | undefined, flags: DrillFlags): Promise<void> {
  if (file !== undefined) {
    const { fallbackTargets } = await import("../evaluation/targets.ts");
    return evaluateFile(context, file, { flags, targetsOf: fallbackTargets });
  }
  if (flags.for !== undefined && flags.share === undefined) throw usageError("--for goes with --share.");
  if (flags.stop && flags.share !== undefined) throw usageError("Start a drill with --share or end it with --stop.");
  await withServer(context, flags, async (client) => {
    if (flags.share !== undefined) await client.startDrill({ share: flags.share, for_ms: flags.for });
    if (flags.stop) await client.endDrill();
    await showDrill(context, client, flags);
  });
}

async function showDrill({ terminal, clock }: Context, client: Client, { hours, json }: DrillFlags): Promise<void> {
  const found = await client.drill({ hours });
  if (json) return terminal.json(found);
  const { paintNote } = terminal;
  for (const [index, { primary, fallback }] of found.routes.entries()) {
    if (index > 0) terminal.print();
    const rows = [
      { name: "primary", ...primary },
      { name: "fallback", ...fallback },
    ];
    for (const line of renderTable(rows, pathColumns, terminal)) terminal.print(line);
  }
  if (found.routes.length === 0) terminal.note("There are no results of drills.");
  terminal.note(paintNote("dim", stateOf(found, clock.now())));
}

function stateOf({ share, source, ends_at: endsAt }: Drill, now: number): string {
  if (share === 0) return "There is no drill now. Start one with --share 10%, or by `gateway.drill` of the config.";
  const calls = `${percent(share)} of the calls`;
  const end = endsAt === null ? "as the config says" : `for another ${duration(Math.max(0, Date.parse(endsAt) - now))}`;
  return `A drill ${source === "config" ? "of the config " : ""}sends ${calls} to the fallback, ${end}.`;
}

type Row = DrillPath & { readonly name: string };

const pathColumns: Column<Row>[] = [
  { title: "PATH", value: ({ name }) => name },
  { title: "MODELS", value: ({ models }) => models.join(", "), shrinks: true },
  { title: "CALLS", value: ({ calls }) => calls.toLocaleString("en-US"), align: "right" },
  {
    title: "SUCCESS",
    value: ({ success_share: share }) => percent(share),
    align: "right",
    format: ({ success_share: share }): Parameters<Terminal["paint"]>[0] =>
      share === 1 || share === null ? "green" : "yellow",
  },
  { title: "P50", value: ({ latency_ms: { p50 } }) => measured(p50), align: "right" },
  { title: "P95", value: ({ latency_ms: { p95 } }) => measured(p95), align: "right" },
  { title: "TTFT P50", value: ({ ttft_ms: { p50 } }) => measured(p50), align: "right", spare: true },
  { title: "TTFT P95", value: ({ ttft_ms: { p95 } }) => measured(p95), align: "right", spare: true },
  { title: "COST", value: ({ cost_usd: usd }) => (usd === null ? "?" : money(usd)), align: "right" },
  { title: "A CALL", value: costOfCall, align: "right" },
];

function costOfCall({ calls, cost_per_call_usd: usd }: Row): string {
  if (usd === null) return calls === 0 ? "-" : "?";
  return money(usd);
}

function parseTime(text: string): number {
  const days = parseDays(text);
  if (days !== undefined && days > 0 && days <= 1) return Math.round(days * 86_400_000);
  throw new InvalidArgumentError("It must be a time like 30m or 2h, and at most 24h.");
}
