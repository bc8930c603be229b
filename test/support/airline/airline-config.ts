/**
 * The airline's service as its owner would write it. One agent for each recording, all alike but for the model's name: by
 * this the replayed model knows which conversation it is in, and nothing is added to what it is told.
 */
import { defineConfig, type HoldfastConfig } from "../../../src/config.ts";
import { defineAgent } from "../../../src/agent/definition.ts";
import type { Effect } from "../../../src/agent/journal.ts";
import { defineTool, type Tool } from "../../../src/tools/define-tool.ts";
import { type AirlineAgent, recordingNames } from "./recordings.ts";

export const toolVersion = "1.0.0";

/** The model of an agent, as it stands in a journal. */
export function modelOf(recordingName: string): string {
  return `compatible/${recordingName}`;
}

/** What changes nothing may be repeated freely; what does is repeated with the same key, and takes effect once. */
export function effectOf(tool: string): Effect {
  return /^(get|search|list)_|^(calculate|think)$/.test(tool) ? "read" : "idempotent";
}

export function airlineConfig({ system, tools }: AirlineAgent, deskUrl: string): HoldfastConfig {
  return defineConfig({
    agents: recordingNames().map((name) =>
      defineAgent({
        name,
        instructions: system,
        model: modelOf(name),
        tools: tools.map((tool) => tool.name),
        limits: { tokens: 10_000_000, maxSteps: 100 },
      }),
    ),
    tools: tools.map((tool) => deskTool(tool, deskUrl)),
  });
}

/** A call as the desk is asked to make it. */
export interface DeskCall {
  readonly key: string;
  readonly agent: string;
  readonly tool: string;
  readonly input: unknown;
}

function deskTool(
  { name, description, parameters }: AirlineAgent["tools"][number],
  deskUrl: string,
): Tool<never, unknown> {
  return defineTool({
    name,
    version: toolVersion,
    description,
    effect: effectOf(name),
    input: parameters,
    run: async (input, { idempotencyKey: key, agent, signal }) => {
      const body = JSON.stringify({ key, agent, tool: name, input } satisfies DeskCall);
      const response = await fetch(deskUrl, { method: "POST", body, signal });
      if (!response.ok) throw new Error(await response.text());
      return response.text();
    },
  });
}
