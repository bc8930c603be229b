/** The journal of a task as a story: when, who, what, and what came of it. */
import { judgedCode } from "../agent/journal.ts";
import type {
  Answer,
  AssignmentEntry,
  CompressionEntry,
  Entry,
  FailedAttempt,
  ModelEntry,
  QuestionEntry,
  Task,
} from "../client/wire.ts";
import { fit, wrap } from "./columns.ts";
import { count, duration, money } from "./quantities.ts";
import { oneLine, printable, type Paint } from "./terminal.ts";
import {
  answerText,
  callText,
  outcomeText,
  questionText,
  shortenedText,
  statusFormat,
  statusText,
  toldBy,
  usageText,
} from "./wording.ts";

export interface TimelineOptions {
  readonly paint: Paint;
  /** Columns of the terminal; undefined: lines are as long as they are. */
  readonly width: number | undefined;
}

const timeColumns = 11;
const margin = " ".repeat(timeColumns + 2);
const leastTextColumns = 40;

/** What stands above the entries. */
export function renderHeading(task: Task, { paint }: TimelineOptions): string[] {
  const { task_id: id, session_id: session, agent, status, error_message: message } = task;
  const ended = paint(["bold", statusFormat(task)], statusText(task));
  const notes = [
    task.forked_from === null ? [] : `fork of ${task.forked_from}`,
    task.dead_letter ? "dead letter" : [],
  ].flat();
  return [
    `${paint("dim", "task   ")} ${paint("bold", id)}${notes.length === 0 ? "" : `  ${notes.join(", ")}`}`,
    `${paint("dim", "session")} ${oneLine(session)}`,
    `${paint("dim", "agent  ")} ${agent}`,
    `${paint("dim", "status ")} ${ended} · ${usageText(task)}`,
    ...(message === null || message === "" || status === "cancelled"
      ? []
      : [`${paint("dim", "why    ")} ${oneLine(message)}`]),
  ];
}

/** The line that every story begins with. */
export function renderPrompt({ prompt, created_at: createdAt }: Task, options: TimelineOptions): string[] {
  const date = new Date(createdAt);
  const when = `${date.toLocaleDateString("sv-SE")} ${date.toTimeString().slice(0, 8)}`;
  return [
    stamped(0, `${options.paint("cyan", "asked")} ${options.paint("dim", when)}`, options),
    ...textLines(prompt, options).map(indented),
  ];
}

/** @param startedAt when the task was submitted; milliseconds since the epoch */
export function renderEntry(entry: Entry, startedAt: number, options: TimelineOptions): string[] {
  const ms = Date.parse(entry.at) - startedAt;
  const width = textWidth(options);
  const told = tell(entry, options);
  // What a tool answered may be long and is cut; what it is asked to do is shown to the last letter.
  const lines =
    entry.kind === "tool" ? told.map((line) => fit(line, width)) : told.flatMap((line) => wrap(line, width));
  const [head = "", ...rest] = lines;
  return [stamped(ms, head, options), ...rest.map(indented)];
}

function tell(entry: Entry, options: TimelineOptions): string[] {
  const { paint } = options;
  switch (entry.kind) {
    case "assignment":
      return tellAssignment(entry, options);
    case "model":
      return tellModel(entry, options);
    case "compression":
      return tellCompression(entry, options);
    case "deferred":
      return [
        `${paint("cyan", "deferred")} ${paint("dim", `to the batch API of ${entry.model}, until ${entry.until}`)}`,
      ];
    case "intent":
      return [`${paint("cyan", "begins")} ${entry.tool} ${paint("dim", `(takes effect once, key ${entry.key})`)}`];
    case "tool": {
      const mark = entry.outcome.ok ? paint("green", "✓") : paint("red", "✗");
      return [`${mark} ${entry.tool}${paint("dim", `, ${duration(entry.ms)}:`)} ${outcomeText(entry.outcome)}`];
    }
    case "question":
      return tellQuestion(entry, options);
    case "answer":
      return [`${paint(answerFormat(entry.answer), "answered")} by ${oneLine(entry.by)}: ${answerText(entry.answer)}`];
    case "message":
      return [paint("cyan", toldBy(entry)), ...textLines(entry.prompt, options)];
    case "failure":
      return [
        `${paint("red", "failed:")} ${oneLine(entry.message)} (${entry.code}), ${nextTry(entry)}`,
        ...tellAttempts(entry.attempts, paint),
      ];
    case "replay":
      return [
        `${paint("cyan", "set going again")} by ${oneLine(entry.by)}, ${entry.prompt === null ? "from where it stopped" : "with another prompt"}`,
        ...(entry.prompt === null ? [] : textLines(entry.prompt, options)),
      ];
    case "end":
      return [
        `${paint(statusFormat(entry), statusText(entry))}${entry.message === "" ? "" : `: ${oneLine(entry.message)}`}`,
      ];
  }
}

const assignedBy = { session: "its session", embeddings: "meaning", words: "words", otherwise: "default" };

function tellAssignment(entry: AssignmentEntry, { paint }: TimelineOptions): string[] {
  const { agent, method, reason, scores, model, cost_usd: usd = null } = entry;
  const took = model === undefined ? "" : `, ${model}, ${money(usd)}`;
  const compared = scores.map((each) => `${each.agent} ${each.score}`).join(", ");
  return [
    `${paint("cyan", "assigned to")} ${agent} ${paint("dim", `by ${assignedBy[method]}${took}: ${oneLine(reason)}`)}`,
    ...(compared === "" ? [] : [paint("dim", compared)]),
  ];
}

const cutShortBy = {
  length: "cut off at its limit",
  content_filter: "withheld by the provider",
  interrupted: "interrupted",
};

function tellModel(entry: ModelEntry, options: TimelineOptions): string[] {
  const { paint } = options;
  const { model, usage, cost_usd: usd, ttft_ms: ttft, finish } = entry;
  const tokens = `${usage.estimated ? "about " : ""}${count(usage.input + usage.output, "token")}`;
  const cached = usage.cached > 0 ? ` (${usage.cached.toLocaleString("en-US")} cached)` : "";
  const facts =
    entry.hit === undefined
      ? [`${tokens}${cached}`, money(usd), `first token after ${duration(ttft)}`]
      : [`an answer given again (saved ${money(entry.saved?.cost_usd ?? null)})`];
  const cutShort = finish === "stop" || finish === "calls" ? "" : ` ${cutShortBy[finish]}`;
  return [
    `${paint("blue", "model")} ${paint("dim", `${model}, ${facts.join(", ")}`)}${paint("yellow", cutShort)}`,
    ...tellAttempts(entry.attempts, paint),
    ...entry.parts.flatMap((part) => {
      if (part.type === "call") return [];
      return textLines(part.text, options).map((line) => (part.type === "reasoning" ? paint("dim", line) : line));
    }),
    ...entry.calls.map(({ tool, input, needs_approval: needsApproval, problem }) => {
      const note = problem === undefined ? (needsApproval ? " needs approval" : "") : ` ${oneLine(problem.message)}`;
      return `${paint("bold", `→ ${callText(tool, input)}`)}${paint("yellow", note)}`;
    }),
  ];
}

function tellCompression(entry: CompressionEntry, options: TimelineOptions): string[] {
  const { paint } = options;
  const { summary, model, usage, cost_usd: usd, kept_turns: turns, outcome_chars: chars } = entry;
  const by = model === null ? [] : [model, count(usage.input + usage.output, "token"), money(usd)];
  const stays = [
    ...(summary === null ? [] : [`the newest ${count(turns, "turn")} and the prompt stay beside this summary`]),
    ...(chars === null ? [] : [`outcomes of the newest turn stay up to ${count(chars, "character")}`]),
  ];
  return [
    `${paint("magenta", "shortened")} ${shortenedText(entry)} ${paint("dim", by.join(", "))}`.trimEnd(),
    ...tellAttempts(entry.attempts, paint),
    ...stays.map((line) => paint("dim", line)),
    ...textLines(summary ?? "", options),
  ];
}

function tellAttempts(attempts: readonly FailedAttempt[], paint: Paint): string[] {
  return attempts.map(({ model, code, message, ms }) =>
    code === judgedCode
      ? paint("dim", `judged by ${model}, ${duration(ms)}: ${oneLine(message)}`)
      : paint("yellow", `✗ ${model} after ${duration(ms)}: ${oneLine(message)} (${code})`),
  );
}

function tellQuestion(
  { question, tool, input, reason, approval_id: id }: QuestionEntry,
  { paint }: TimelineOptions,
): string[] {
  return [
    `${paint("magenta", "asks a human:")} ${questionText({ kind: question, tool, input })}`,
    paint("dim", oneLine(reason)),
    paint("dim", `approval ${id}`),
  ];
}

function nextTry({ at, retry_at: retryAt, code }: { at: string; retry_at: string | null; code: string }): string {
  if (retryAt === null) return `and is not tried again${code === "model_context_too_long" ? " as it is" : ""}`;
  return `tries again ${duration(Math.max(0, Date.parse(retryAt) - Date.parse(at)))} later`;
}

function answerFormat({ decision }: Answer): "green" | "yellow" {
  return decision === "deny" || decision === "failed" || decision === "end" ? "yellow" : "green";
}

function indented(line: string): string {
  return `${margin}${line}`.trimEnd();
}

function stamped(ms: number, text: string, { paint }: TimelineOptions): string {
  const time = ms <= 0 ? "0 s" : `+${duration(ms)}`;
  return `${paint("dim", time.padStart(timeColumns))}  ${text}`;
}

function textLines(text: string, options: TimelineOptions): string[] {
  const safe = printable(text).trim();
  return safe === "" ? [] : wrap(safe, textWidth(options));
}

function textWidth({ width = Number.POSITIVE_INFINITY }: TimelineOptions): number {
  return Math.max(leastTextColumns, width - margin.length);
}
