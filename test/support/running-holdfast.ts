/** A Holdfast with a scripted model for tests of the engine: what a test does not say is what usually happens. */
import type { AgentOptions } from "../../src/agent/definition.ts";
import type { Entry } from "../../src/agent/journal.ts";
import type { Json } from "../../src/agent/json.ts";
import {
  createHoldfast,
  defineAgent,
  defineConfig,
  defineTool,
  type Holdfast,
  type HoldfastConfig,
  type HoldfastOptions,
  type ToolContext,
} from "../../src/index.ts";
import type { Clock } from "../../src/platform/clock.ts";
import { readSettings } from "../../src/platform/settings.ts";
import type { Database } from "../../src/store/database.ts";

import type { ApprovalRow } from "../../src/store/reads.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { scriptedGateway, type GatewayScript, type ScriptedGateway } from "../../src/testing/scripted-model.ts";
import type { VirtualClock } from "../../src/testing/virtual-clock.ts";
import { sql } from "./stored-tasks.ts";

export const tenant = "default";

type Tools = NonNullable<HoldfastConfig["tools"]>;
export type AnyTool = Tools[number];

export interface Start {
  readonly script: GatewayScript;
  readonly tools?: Tools;
  readonly agent?: Partial<AgentOptions>;
  readonly config?: Partial<HoldfastConfig>;
  readonly options?: HoldfastOptions;
}

export interface Running extends Holdfast {
  readonly gateway: ScriptedGateway;
  readonly agent: string;
}

let agents = 0;

/** Starts one on a database that outlives it. Unless it is given, its agent is its own, so that no other runs its tasks. */
export async function startHoldfast(
  database: Database,
  { script, tools = [], agent, config, options }: Start,
): Promise<Running> {
  const gateway = scriptedGateway(script);
  const name = agent?.name ?? `agent-${++agents}`;
  const references = tools.map((tool) => tool.name);
  const defined = defineAgent({ instructions: "Be of use.", tools: references, ...agent, name });
  const holdfast = await createHoldfast(defineConfig({ agents: [defined], tools, ...config }), {
    settings: readSettings({}),
    ...options,
    parts: { database: borrowed(database), gateway, log: silentLogger, random: () => 1, ...options?.parts },
    tuning: { pollMs: 20, ...options?.tuning },
  });
  return { ...holdfast, gateway, agent: name };
}

export function borrowed(database: Database): Database {
  return { ...database, close: () => Promise.resolve() };
}

type Run = (input: { [key: string]: Json }, context: ToolContext) => unknown;

interface ToolTraits {
  readonly effect: "read" | "idempotent" | "once";
  readonly approval?: boolean;
  readonly timeoutMs?: number;
}

/** A tool that takes any object. */
export function toolOf(name: string, traits: ToolTraits["effect"] | ToolTraits, run: Run): AnyTool {
  const given = typeof traits === "string" ? { effect: traits } : traits;
  return defineTool({ name, version: "1.0.0", description: `Does ${name}.`, input: { type: "object" }, run, ...given });
}

export async function journalOf({ engine }: Holdfast, taskId: string): Promise<Entry[]> {
  return engine.journal({ tenant, taskId, afterSeq: 0, limit: 1_000 });
}

export async function kindsOf(holdfast: Holdfast, taskId: string): Promise<string[]> {
  return (await journalOf(holdfast, taskId)).map(({ kind }) => kind);
}

/** Long enough for any machine: it costs something only where a test fails. */
const patienceMs = 60_000;

/** Resolves when the condition holds; looks again whenever the event loop has had a turn. */
export async function until<Found>(
  look: () => Promise<Found | false | undefined> | Found | false | undefined,
): Promise<Found> {
  for (const giveUpAt = Date.now() + patienceMs; Date.now() < giveUpAt;) {
    const found = await look();
    if (found !== false && found !== undefined) return found;
    await new Promise(setImmediate);
  }
  throw new Error(`It did not come to this: ${String(look)}`);
}

/** The questions a task waits for. */
export async function questionsOf({ engine }: Holdfast, taskId: string): Promise<ApprovalRow[]> {
  return until(async () => {
    const open = await engine.approvals.list({ tenant, status: "pending", taskId, limit: 10 });
    return open.length > 0 && open;
  });
}

/** What a model was shown in its n-th call, from 1, as short lines. */
export function shownTo({ gateway }: Running, call: number): string[] {
  return (gateway.requests[call - 1]?.messages ?? []).map((message) => {
    if (message.role === "user") return `user: ${message.text}`;
    if (message.role === "tool")
      return `${message.tool}: ${message.outcome.ok ? JSON.stringify(message.outcome.output) : message.outcome.code}`;
    return `assistant: ${message.parts.map((part) => (part.type === "call" ? `${part.tool}(${JSON.stringify(part.input)})` : part.text)).join(" ")}`;
  });
}

/** The database tells the time of the clock. */
export function atTimeOf(clock: Clock, database: Database): Database {
  const setTime = () => sql("select set_config('holdfast.now_ms', $1::text, true)", String(clock.now()));
  const batch: Database["batch"] = async (statements) => (await database.batch([setTime(), ...statements])).slice(1);
  return {
    ...database,
    batch,
    query: async <Row>(statement: Parameters<Database["query"]>[0]) => (await batch([statement]))[0] as Row[],
  };
}

/** Lets time pass, in steps, until the condition holds; the database keeps up with every step. */
export async function passTime<Found>(
  { clock, database, stepMs }: { clock: VirtualClock; database: Database; stepMs: number },
  look: () => Promise<Found | false | undefined>,
): Promise<Found> {
  for (let step = 0; step < 5_000; step++) {
    const found = await look();
    if (found !== false && found !== undefined) return found;
    await clock.advance(stepMs);
    // The embedded database answers in order: what was asked before this has been answered.
    for (let turn = 0; turn < 4; turn++) await database.query(sql("select 1"));
  }
  throw new Error(`It did not come to this: ${String(look)}`);
}
