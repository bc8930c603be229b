/** What an agent is known by when a task looks for one: its name, its description, its tools, how its instructions begin. */
import type { ToolSpec } from "../../agent/conversation.ts";
import type { AgentDefinition } from "../../agent/definition.ts";
import { nameWords, spoken } from "../../gateway/providers/rules/words.ts";

export interface AgentProfile {
  readonly agent: string;
  /** As a person would be told. */
  readonly text: string;
  /** Its parts with what a word in them counts. */
  readonly parts: readonly { readonly text: string; readonly weight: number }[];
}

/** Instructions begin with what the agent is for; how it is to behave comes after. */
const mostInstructionChars = 600;

const weights = { name: 3, description: 2, tool: 2, toolDescription: 1, instructions: 0.5 };

export function profileOf({ name, description, instructions }: AgentDefinition, tools: readonly ToolSpec[]) {
  const beginning = instructions.slice(0, mostInstructionChars);
  const told = tools.map((tool) => `${spoken(tool.name)}: ${tool.description}`).join("\n");
  const text = [spoken(name), description, told, beginning].filter((part) => part !== "").join("\n");
  const parts = [
    { text: nameWords(name).join(" "), weight: weights.name },
    { text: description, weight: weights.description },
    ...tools.flatMap((tool) => [
      { text: nameWords(tool.name).join(" "), weight: weights.tool },
      { text: tool.description, weight: weights.toolDescription },
    ]),
    { text: beginning, weight: weights.instructions },
  ];
  return { agent: name, text, parts } satisfies AgentProfile;
}

const mostHeadChars = 4_000;
const mostTailChars = 2_000;

/** What of a prompt says what is wanted: a long one has its question at the beginning or at the end. */
export function gistOf(prompt: string): string {
  if (prompt.length <= mostHeadChars + mostTailChars) return prompt;
  return `${prompt.slice(0, mostHeadChars)}\n…\n${prompt.slice(-mostTailChars)}`.toWellFormed();
}
