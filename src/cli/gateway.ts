/** `holdfast gateway`: how the model gateway does, for whoever is on call. */
import type { Command } from "commander";
import type { AnswerCaching, GatewayState, GateState, ModelState, PromptCaching, RouteState } from "../client/wire.ts";
import { withServer, withUrl, type UrlFlag } from "./connect.ts";
import { verb, type Context } from "./context.ts";
import { ago, count, duration, measured, money, percent } from "./quantities.ts";
import { renderTable, type Column } from "./table.ts";
import { parseCount } from "./tasks.ts";
import { oneLine, type Paint, type Terminal } from "./terminal.ts";

export function gatewayCommand(context: Context): Command {
  return withUrl(
    verb("gateway", {
      summary: "show how the model gateway does: routes, models, limits, caches",
      description:
        "For whoever is on call. Routes, breakers, limits and times are those of the process that answers, since it began; how " +
        "often the caches hit is that of all processes.",
      examples: [
        ["gateway", "now, and the caches of the last day"],
        ["gateway --hours 1", "the caches of the last hour"],
        ["gateway --json", "for a program"],
      ],
    }),
  )
    .option("--hours <number>", "how far to look back at the caches (default: 24)", parseCount)
    .option("--json", "print JSON")
    .action((flags: GatewayFlags) =>
      withServer(context, flags, async (client) => {
        const state = await client.gateway({ hours: flags.hours });
        if (flags.json) return context.terminal.json(state);
        for (const line of renderGateway(state, { ...context.terminal, now: context.clock.now() })) {
          context.terminal.print(line);
        }
      }),
    );
}

interface GatewayFlags extends UrlFlag {
  readonly hours?: number;
  readonly json?: true;
}

interface Look {
  readonly width: number | undefined;
  readonly paint: Paint;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** What is wrong first of all; then routes, models and caches, each a table. */
export function renderGateway(state: GatewayState, look: Look): string[] {
  const { paint, now } = look;
  const sections = [
    warningsOf(state, look),
    renderTable(state.routes, routeColumns, look),
    state.models.length === 0
      ? [paint("dim", `No model was called by this process, which began ${ago(now - Date.parse(state.since))}.`)]
      : renderTable(state.models, modelColumns(now), look),
    ...cachesOf(state, look),
  ];
  return sections.filter((lines) => lines.length > 0).flatMap((lines, index) => (index === 0 ? lines : ["", ...lines]));
}

function warningsOf({ models, routes, experiments: { drill, faults } }: GatewayState, { paint, now }: Look): string[] {
  const down = routes.flatMap(({ name, models: candidates, out }) => (out.length === candidates.length ? name : []));
  const failures = models.flatMap(({ model, breaker: { state, last_failure: last } }) =>
    state === "closed" || last === null
      ? []
      : `${paint("red", model)} last failed ${ago(now - Date.parse(last.at))}: ${oneLine(last.message)} (${last.code})`,
  );
  return [
    ...(down.length === 0 ? [] : [paint(["red", "bold"], `All models are out, and work waits: ${down.join(", ")}`)]),
    ...failures,
    ...(faults === 0
      ? []
      : [paint("yellow", `A game day: ${count(faults, "fault")} injected into model calls on purpose.`)]),
    ...(drill.share === 0
      ? []
      : [paint("yellow", `A drill sends ${percent(drill.share)} of the calls to the fallback.`)]),
  ];
}

const routeColumns: Column<RouteState>[] = [
  { title: "ROUTE", value: ({ name }) => name },
  { title: "STATE", value: routeState, format: routeFormat },
  {
    title: "MODELS",
    value: ({ models, out }) => models.map((model) => (out.includes(model) ? `${model} (out)` : model)).join(", "),
    shrinks: true,
  },
];

function routeState({ models, out }: RouteState): string {
  if (out.length === 0) return "up";
  return out.length === models.length ? "out" : `${models.length - out.length} of ${models.length} up`;
}

function routeFormat({ models, out }: RouteState): Parameters<Terminal["paint"]>[0] {
  if (out.length === 0) return "green";
  return out.length === models.length ? "red" : "yellow";
}

function modelColumns(now: number): Column<ModelState>[] {
  const number = (title: string, value: (model: ModelState) => number): Column<ModelState> => ({
    title,
    value: (model) => value(model).toLocaleString("en-US"),
    align: "right",
  });
  return [
    { title: "MODEL", value: ({ model }) => model, shrinks: true },
    {
      title: "BREAKER",
      value: ({ breaker }) => breakerText(breaker, now),
      format: ({ breaker: { state } }) => (state === "closed" ? "green" : state === "open" ? "red" : "yellow"),
    },
    number("ANSWERED", ({ attempts }) => attempts.answered),
    number("FAILED", ({ attempts }) => attempts.failed),
    number("SKIPPED", ({ attempts }) => attempts.skipped),
    { title: "IN FLIGHT", value: ({ gate }) => inFlightText(gate), align: "right" },
    number("WAITING", ({ gate }) => gate.reduce((sum, { waiting }) => sum + waiting, 0)),
    { title: "TTFT P95", value: ({ ttft_ms: ttft }) => measured(ttft?.p95 ?? null), align: "right" },
    { title: "LIMIT", value: ({ gate }) => limitText(gate), spare: true },
  ];
}

function breakerText({ state, open_until: until }: ModelState["breaker"], now: number): string {
  if (state === "half_open") return "half open";
  if (state === "closed" || until === null) return state;
  return `open, ${duration(Math.max(0, Date.parse(until) - now))} left`;
}

function inFlightText(gate: readonly GateState[]): string {
  const inFlight = gate.reduce((sum, each) => sum + each.in_flight, 0).toLocaleString("en-US");
  const most = sumOf(gate.map((each) => each.max_concurrent));
  return most === null ? inFlight : `${inFlight}/${most.toLocaleString("en-US")}`;
}

/** Of all keys together; what the provider asks to wait goes first, since then no limit matters. */
function limitText(gate: readonly GateState[]): string {
  const blockedMs = gate.length === 0 ? 0 : Math.min(...gate.map((each) => each.blocked_for_ms));
  if (blockedMs > 0) return `blocked for ${duration(blockedMs)}`;
  const requests = sumOf(gate.map((each) => each.requests_per_minute));
  const tokens = sumOf(gate.map((each) => each.tokens_per_minute));
  const limits = [
    requests === null ? [] : `${Math.floor(requests).toLocaleString("en-US")} requests/min`,
    tokens === null ? [] : `${Math.floor(tokens).toLocaleString("en-US")} tokens/min`,
  ].flat();
  return limits.length === 0 ? "none known" : limits.join(", ");
}

/** Null: one of them is not known. */
function sumOf(numbers: readonly (number | null)[]): number | null {
  return numbers.length === 0
    ? null
    : numbers.reduce((sum, each) => (sum === null || each === null ? null : sum + each));
}

function cachesOf({ caches }: GatewayState, look: Look): string[][] {
  const { paint } = look;
  if (caches === null) return [[paint("yellow", "How often the caches hit is not known: the store does not answer.")]];
  const { hours, answers, prompts } = caches;
  const period = `in ${count(hours, "hour")}`;
  const title = (text: string): string => paint("dim", `${text}, ${period}, all processes:`);
  return [
    answers.length === 0
      ? [paint("dim", `No call allowed an answer to be given again ${period}.`)]
      : [title("Answers given again"), ...renderTable(answers, answerColumns, look)],
    prompts.length === 0
      ? [paint("dim", `No provider reported tokens ${period}.`)]
      : [title("Prompts that providers had cached"), ...renderTable(prompts, promptColumns, look)],
  ];
}

const answerColumns: Column<AnswerCaching>[] = [
  { title: "AGENT", value: ({ agent }) => oneLine(agent ?? "(programs)"), shrinks: true },
  { title: "MODEL", value: ({ model }) => oneLine(model), shrinks: true },
  { title: "CALLS", value: ({ lookups }) => lookups.toLocaleString("en-US"), align: "right" },
  { title: "HITS", value: ({ hit_share: share }) => percent(share), align: "right" },
  { title: "STALE", value: ({ stale }) => stale.toLocaleString("en-US"), align: "right", spare: true },
  { title: "SAVED", value: ({ saved_usd: usd }) => money(usd), align: "right" },
];

const promptColumns: Column<PromptCaching>[] = [
  { title: "MODEL", value: ({ model }) => oneLine(model), shrinks: true },
  { title: "CALLS", value: ({ calls }) => calls.toLocaleString("en-US"), align: "right" },
  { title: "INPUT", value: ({ input_tokens: tokens }) => tokens.toLocaleString("en-US"), align: "right" },
  { title: "CACHED", value: ({ cached_tokens: tokens }) => tokens.toLocaleString("en-US"), align: "right" },
  { title: "HITS", value: ({ hit_share: share }) => percent(share), align: "right" },
];
