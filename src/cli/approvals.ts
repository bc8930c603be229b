/** `holdfast approvals`: what waits for a human, and answering it. */
import { Argument, type Command } from "commander";
import type { Json } from "../agent/json.ts";
import type { AnswerBody, Approval } from "../client/wire.ts";
import { operator, withServer, withUrl, type Client, type UrlFlag } from "./connect.ts";
import { verb, type Context } from "./context.ts";
import { usageError } from "./failure.ts";
import { ago } from "./quantities.ts";
import { renderTable, type Column } from "./table.ts";
import { parseId } from "./task.ts";
import { parseCount } from "./tasks.ts";
import { oneLine } from "./terminal.ts";
import { answerText, decisions, questionText } from "./wording.ts";

const allDecisions = [...new Set(Object.values(decisions).flatMap((each) => each.map(({ word }) => word)))];

export function approvalsCommand(context: Context): Command {
  return withUrl(
    verb("approvals", {
      summary: "list what waits for a human; answer it",
      description:
        "Without an id: lists the questions that wait, the oldest first. With an id: shows one in full. With an id and a " +
        "decision: answers it, and its task goes on. A tool call takes approve, deny or edit; a call that was cut off " +
        "takes succeeded, failed or retry; a limit or a repetition takes continue or end.",
      examples: [
        ["approvals", "what waits"],
        ["approvals <id>", "one question, with all it is about"],
        ["approvals <id> approve", "let the call run"],
        ['approvals <id> deny --comment "Too much."', "the agent is told why"],
        [`approvals <id> edit --input '{"amountUsd": 20}'`, "let it run with these arguments"],
        [`approvals <id> succeeded --output '{"refundId": "R-7"}'`, "it had happened, with this outcome"],
      ],
    }),
  )
    .argument("[id]", "the question's id", parseId)
    .addArgument(new Argument("[decision]", "what you decide").choices(allDecisions))
    .option("--comment <text>", "why: with approve, deny, edit and failed; advice for the agent with continue")
    .option("--input <json>", "the arguments to run with: with edit")
    .option("--output <json>", "what the tool answered: with succeeded")
    .option("--task <id>", "list only the questions of this task", parseId)
    .option("-n, --limit <number>", "list at most so many", parseCount, 50)
    .option("--json", "print JSON")
    .action((id: string | undefined, decision: AnswerBody["decision"] | undefined, flags: ApprovalsFlags) =>
      withServer(context, flags, async (client) => {
        if (id === undefined) await listApprovals(context, client, flags);
        else if (decision === undefined) await showApproval(context, client, { id, json: flags.json });
        else await answerApproval(context, client, { id, body: toBody(decision, flags), json: flags.json });
      }),
    );
}

export interface ApprovalsFlags extends UrlFlag {
  readonly comment?: string;
  readonly input?: string;
  readonly output?: string;
  readonly task?: string;
  readonly limit: number;
  readonly json?: true;
}

async function listApprovals(
  { terminal, clock, command }: Context,
  client: Client,
  flags: ApprovalsFlags,
): Promise<void> {
  const page = await client.approvals({ task_id: flags.task, limit: flags.limit });
  if (flags.json) return terminal.json(page);
  if (page.items.length === 0) return terminal.note("Nothing waits for a human.");
  for (const line of renderTable(page.items, approvalColumns(clock.now()), terminal)) terminal.print(line);
  terminal.note(terminal.paintNote("dim", `\nOne in full: ${command} approvals <id>`));
}

function approvalColumns(now: number): Column<Approval>[] {
  return [
    { title: "APPROVAL", value: ({ id }) => id },
    { title: "KIND", value: ({ kind }) => kind, format: () => "magenta" },
    { title: "AGENT", value: ({ agent }) => agent, shrinks: true },
    { title: "ASKED", value: ({ created_at: at }) => ago(now - Date.parse(at)) },
    { title: "QUESTION", value: questionText, shrinks: true },
  ];
}

async function showApproval(
  { terminal, command }: Context,
  client: Client,
  { id, json }: { id: string; json: true | undefined },
): Promise<void> {
  const approval = await client.approval(id);
  if (json) return terminal.json(approval);
  const { paint } = terminal;
  terminal.print(paint("bold", questionText(approval)));
  terminal.print(oneLine(approval.reason));
  terminal.print(`\n${paint("dim", "task ")} ${approval.task_id}\n${paint("dim", "agent")} ${approval.agent}`);
  terminal.print(`${paint("dim", "input")} ${oneLine(JSON.stringify(approval.input))}`);
  if (approval.status === "answered" && approval.answer !== null) {
    return terminal.print(
      `\nAnswered by ${oneLine(approval.answered_by ?? "somebody")}: ${answerText(approval.answer)}`,
    );
  }
  if (approval.status === "cancelled") return terminal.print("\nWithdrawn: its task has ended.");
  terminal.print("\nAnswer it with one of:");
  for (const { word, does, options } of decisions[approval.kind]) {
    const call = `${command} approvals ${id} ${word}${options === undefined ? "" : ` ${options}`}`;
    terminal.print(`  ${call}\n      ${paint("dim", does)}`);
  }
}

async function answerApproval(
  { terminal, command }: Context,
  client: Client,
  { id, body, json }: { id: string; body: AnswerBody; json: true | undefined },
): Promise<void> {
  const approval = await client.answer(id, { ...body, by: operator() });
  if (json) return terminal.json(approval);
  const given = approval.answer === null ? body.decision : answerText(approval.answer);
  terminal.print(`${terminal.paint("green", "✓")} ${questionText(approval)} ${terminal.paint("bold", given)}`);
  terminal.note(terminal.paintNote("dim", `Watch it go on: ${command} task ${approval.task_id} --follow`));
}

/** @throws HoldfastError `invalid_usage` when an option does not belong to the decision or lacks */
export function toBody(
  decision: AnswerBody["decision"],
  flags: Pick<ApprovalsFlags, "comment" | "input" | "output">,
): AnswerBody {
  const { comment, input, output } = flags;
  if (input !== undefined && decision !== "edit") throw usageError("--input goes with edit alone.");
  if (output !== undefined && decision !== "succeeded") throw usageError("--output goes with succeeded alone.");
  if (comment !== undefined && ["retry", "end", "succeeded"].includes(decision)) {
    throw usageError("--comment goes with approve, deny, edit, failed and continue.");
  }
  if (decision === "edit") {
    if (input === undefined) throw usageError("edit needs the new arguments: --input '{…}'.");
    return { decision, input: parseJson("--input", input), ...(comment !== undefined && { comment }) };
  }
  if (decision === "succeeded")
    return { decision, output: output === undefined ? null : parseJson("--output", output) };
  if (decision === "continue") return { decision, ...(comment !== undefined && { advice: comment }) };
  return { decision, ...(comment !== undefined && { comment }) };
}

function parseJson(option: string, text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw usageError(`${option} is not JSON: ${(error as Error).message}.`);
  }
}
