/**
 * The tools of an evaluation. What has an effect on the world never runs: it is answered from what the case has recorded, or
 * refused. What only reads is answered from the record where there is one, and runs where there is none.
 */
import type { ToolOutcome } from "../agent/conversation.ts";
import type { ToolRunner } from "../tools/tool-runner.ts";
import type { RecordedOutcome } from "./cases.ts";
import { fits } from "./checks.ts";

export interface RecordedTools extends ToolRunner {
  /** The tools of which a call was refused, since nothing is recorded for it. */
  readonly refused: readonly string[];
}

/** For one run of one case: several records for equal calls are used one after the other, and the last one stays. */
export function recordedTools(runner: ToolRunner, outcomes: readonly RecordedOutcome[]): RecordedTools {
  const used = new Set<RecordedOutcome>();
  const refused: string[] = [];
  return {
    refused,
    specs: (references) => runner.specs(references),
    plan: (references, parts) => runner.plan(references, parts),
    check: (call, input) => runner.check(call, input),
    async run(call, context) {
      const fitting = outcomes.filter((each) => fits(each, call));
      const recorded = fitting.find((each) => !used.has(each)) ?? fitting.at(-1);
      if (recorded !== undefined) {
        used.add(recorded);
        return outcomeOf(recorded);
      }
      if (call.effect === "read") return runner.run(call, context);
      refused.push(call.tool);
      return notRecorded(call.tool);
    },
  };
}

function outcomeOf({ outcome }: RecordedOutcome): ToolOutcome {
  return "output" in outcome ? { ok: true, output: outcome.output } : { ok: false, ...outcome };
}

function notRecorded(tool: string): ToolOutcome {
  const message = `This is an evaluation: ${tool} has an effect, so it does not run, and no outcome is recorded for this call.`;
  return { ok: false, code: "outcome_not_recorded", message };
}
