/** A question of a task, asked at the terminal: what is to be decided in full, then a word, then what the word needs. */
import { isObject, type Json } from "../agent/json.ts";
import type { AnswerBody, RaisedLimits } from "../client/wire.ts";
import type { LineReader } from "./line-reader.ts";
import { oneLine, type Terminal } from "./terminal.ts";
import { decisions, questionText, type Asked } from "./wording.ts";

export type HumanAnswer =
  | { readonly type: "answer"; readonly body: AnswerBody }
  /** Not decided now; the task goes on waiting. */
  | { readonly type: "later" }
  | { readonly type: "interrupt" };

export async function askHuman(
  asked: Asked & { reason: string },
  { terminal, reader }: { terminal: Terminal; reader: LineReader },
): Promise<HumanAnswer> {
  const { paint } = terminal;
  terminal.print(`${paint(["magenta", "bold"], "?")} ${paint("bold", questionText(asked))}`);
  terminal.print(`  ${paint("dim", oneLine(asked.reason))}`);
  for (;;) {
    const decision = await askDecision(asked, { terminal, reader });
    if (typeof decision !== "string") return decision;
    const details = await askDetails(decision, asked, reader);
    if (details.type === "answer") return { type: "answer", body: { decision, ...details.body } };
    if (details.type !== "again") return details;
    terminal.print(paint("yellow", `  ${details.why}`));
  }
}

type Deps = { readonly terminal: Terminal; readonly reader: LineReader };

async function askDecision({ kind }: Asked, { terminal, reader }: Deps): Promise<AnswerBody["decision"] | HumanAnswer> {
  const words = [...decisions[kind].map(({ word }) => word), "later" as const];
  const shown = words.map((word) => `[${word.slice(0, 1)}]${word.slice(1)}`).join("  ");
  for (;;) {
    const line = await reader.ask(`  ${shown} > `);
    if (line.type === "interrupt") return line;
    const typed = line.type === "text" ? line.text.trim().toLowerCase() : "later";
    const word = typed === "" ? undefined : words.find((each) => each.startsWith(typed));
    if (word === "later") return { type: "later" };
    if (word !== undefined) return word;
    terminal.print(terminal.paint("yellow", `  Type one of: ${words.join(", ")}.`));
  }
}

type Details =
  | { readonly type: "answer"; readonly body: Partial<AnswerBody> }
  | { readonly type: "again"; readonly why: string }
  | { readonly type: "interrupt" };

/** What a decision needs besides its word. Ctrl-D takes the decision back. */
async function askDetails(decision: AnswerBody["decision"], asked: Asked, reader: LineReader): Promise<Details> {
  switch (decision) {
    case "approve":
    case "retry":
    case "end":
      return { type: "answer", body: {} };
    case "deny":
    case "failed":
      return askText(reader, "  Why, for the agent (may be empty): ", (comment) => ({ comment }));
    case "edit":
      return askText(
        reader,
        "  Arguments: ",
        (text) => ({ input: JSON.parse(text) as Json }),
        JSON.stringify(asked.input),
      );
    case "succeeded":
      return askText(reader, "  What it answered, as JSON (empty: nothing): ", (text) => ({
        output: text === "" ? null : (JSON.parse(text) as Json),
      }));
    case "continue":
      return asked.kind === "limit"
        ? askText(reader, "  New limit (empty: twice as much): ", (text) => ({ limits: newLimit(text, asked.input) }))
        : askText(reader, "  Advice for the agent (may be empty): ", (advice) => ({ advice }));
  }
}

async function askText(
  reader: LineReader,
  question: string,
  ...[toBody, prefill]: [toBody: (text: string) => Partial<AnswerBody>, prefill?: string]
): Promise<Details> {
  const line = await reader.ask(question, prefill);
  if (line.type === "interrupt") return line;
  if (line.type === "end") return { type: "again", why: "Not decided yet." };
  try {
    return { type: "answer", body: toBody(line.text.trim()) };
  } catch (error) {
    return { type: "again", why: error instanceof SyntaxError ? `That is not JSON: ${error.message}.` : String(error) };
  }
}

/** The ceiling that was reached, in the terms of an answer. */
function newLimit(text: string, input: Json): RaisedLimits {
  if (text === "") return {};
  const value = Number(text.replace(/^\$/, ""));
  if (!(value > 0)) throw new SyntaxError("a limit is a number above 0");
  const limit = isObject(input) ? input["limit"] : undefined;
  if (limit === "max_steps_reached") return { max_steps: value };
  return limit === "cost_budget_exceeded" ? { cost_usd: value } : { tokens: value };
}
