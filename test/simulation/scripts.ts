/** What tasks are told to do: each prompt names a script, by which the simulated model answers. */
import type { JsonObject } from "../../src/agent/json.ts";
import type { World } from "./world.ts";

export interface ScriptedCall {
  readonly tool: string;
  readonly input: JsonObject;
}

/** A turn asks for calls, or answers with a text. */
export interface ScriptedTurn {
  readonly calls: readonly ScriptedCall[];
  readonly text: string;
  readonly finish: "calls" | "stop" | "content-filter";
}

export interface Script {
  readonly name: string;
  readonly tenant: string;
  readonly session: string;
  readonly turns: readonly ScriptedTurn[];
}

const toolNames = ["look", "note", "pay", "note", "pay", "legacy"] as const;

export class Scripts {
  readonly #world: World;
  readonly #known = new Map<string, Script>();

  constructor(world: World) {
    this.#world = world;
  }

  write(tenant: string, session: string): Script {
    const world = this.#world;
    const name = `${tenant}/${session}/${this.#known.size + 1}`;
    const turns: ScriptedTurn[] = [];
    const length = world.pick([0, 1, 1, 2, 2, 3]);
    const stutters = world.chance(0.06);
    for (let turn = 1; turn <= (stutters ? 5 : length); turn++) {
      const calls = stutters
        ? [{ tool: "look", input: { call: `${name} again` } }]
        : Array.from({ length: world.integer(1, 3) }, (_, index) => this.#call(`${name} ${turn}.${index}`));
      turns.push({ calls, text: world.chance(0.3) ? `Turn ${turn} of ${name}.` : "", finish: "calls" });
    }
    const isWithheld = world.chance(0.05);
    turns.push({ calls: [], text: `${name} is done.`, finish: isWithheld ? "content-filter" : "stop" });
    const script = { name, tenant, session, turns };
    this.#known.set(name, script);
    return script;
  }

  get(name: string): Script {
    const script = this.#known.get(name);
    if (script === undefined) throw new Error(`There is no script ${name}.`);
    return script;
  }

  #call(call: string): ScriptedCall {
    const world = this.#world;
    if (world.chance(0.04)) return { tool: "nonsense", input: { call } };
    if (world.chance(0.04)) return { tool: "note", input: { calls: call } };
    const tool = world.pick(toolNames);
    return { tool, input: { call, ...(tool === "pay" && world.chance(0.4) && { approve: true }) } };
  }
}

export function promptOf(script: Script): string {
  return `Do ${script.name}.`;
}

/** The script a message names, if it is a prompt. */
export function scriptNameIn(text: string): string | undefined {
  return /^Do (\S+)\.$/.exec(text)?.[1];
}
