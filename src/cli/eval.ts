/** `holdfast eval FILE`: a fixed set of cases on a route and on each of its candidates. */
import type { Command } from "commander";
import { verb, type Context } from "./context.ts";
import { evaluateFile, withEvaluation, type EvaluationFlags } from "./evaluation.ts";

export function evalCommand(context: Context): Command {
  return withEvaluation(
    verb("eval", {
      summary: "run a set of cases on a route and each of its candidates",
      description:
        "Gives an agent the prompts of a file of JSON lines, on its route and on each model of the route alone, checks what " +
        "comes of them, and prints the scores side by side. The models are really called, and paid for; tools that have an " +
        "effect never run: they are answered from what the case has recorded, or refused. It ends with 1 if the route " +
        "passes fewer cases than --at-least.",
      examples: [
        ["eval cases.jsonl", "the only agent of the config, on its route"],
        ["eval cases.jsonl --agent support --at-least 0.9", "for CI"],
        ["eval cases.jsonl --route openai/gpt-5,anthropic/claude-sonnet-4-6", "what another route would do"],
        ["eval cases.jsonl --judge openai/gpt-5 --json", "with a judge; the results for a program"],
      ],
    }),
  )
    .argument("<file>", "the cases, a JSON object a line")
    .action(async (file: string, flags: EvaluationFlags) => {
      const { routeTargets } = await import("../evaluation/targets.ts");
      await evaluateFile(context, file, { flags, targetsOf: routeTargets });
    });
}
