/** I2, I7 and I8: what customers and humans were told is true at the end, and none was told of another's. */
import { canonicalJson, type Json } from "../../../src/agent/json.ts";
import { customer } from "../customers.ts";
import { scriptNameIn } from "../scripts.ts";
import { journalOf, nameOf, type Evidence } from "./evidence.ts";
import type { Verdict } from "./violation.ts";

export function checkPromises(evidence: Evidence, verdict: Verdict): void {
  checkAccepted(evidence, verdict);
  checkStreams(evidence, verdict);
  checkResults(evidence, verdict);
  checkAnswers(evidence, verdict);
  checkCancels(evidence, verdict);
  checkConversations(evidence, verdict);
  for (const leak of evidence.told.leaks) verdict.require(false, "I8", `${leak}.`);
}

function same(a: unknown, b: unknown): boolean {
  return canonicalJson(plain(a)) === canonicalJson(plain(b));
}

function plain(value: unknown): Json {
  return JSON.parse(JSON.stringify(value ?? null)) as Json;
}

function checkAccepted({ told, tasks }: Evidence, verdict: Verdict): void {
  for (const { taskId, tenant, key, script } of told.accepted) {
    const row = tasks.find(({ id }) => id === taskId);
    verdict.require(row?.tenant === tenant, "I1", `${nameOf(taskId)} was accepted (${script}) and is lost.`);
    if (row === undefined || key === null) continue;
    verdict.require(
      row.idempotencyKey === key,
      "I7",
      `${nameOf(taskId)} was accepted under ${key}, not ${row.idempotencyKey}.`,
    );
  }
  const acceptedByKey = Map.groupBy(
    told.accepted.filter(({ key }) => key !== null),
    ({ tenant, key }) => `${tenant} ${key}`,
  );
  for (const [key, accepted] of acceptedByKey) {
    const ids = new Set(accepted.map(({ taskId }) => taskId));
    verdict.require(ids.size === 1, "I7", `The key ${key} was answered with ${ids.size} tasks.`);
    const scripts = new Set(accepted.map(({ script }) => script));
    verdict.require(scripts.size === 1, "I7", `The key ${key} was accepted for ${scripts.size} requests.`);
  }
  for (const { taskId } of told.forked) {
    verdict.require(
      tasks.some(({ id }) => id === taskId),
      "I1",
      `The fork ${nameOf(taskId)} is lost.`,
    );
  }
}

function checkStreams(evidence: Evidence, verdict: Verdict): void {
  for (const { taskId, entries } of evidence.told.streams) {
    const journal = journalOf(evidence, taskId);
    for (const [index, seen] of entries.entries()) {
      const what = `A stream of ${nameOf(taskId)} showed entry ${seen.seq} (${seen.kind})`;
      verdict.require(seen.seq === index + 1, "I7", `${what} as its ${index + 1}th.`);
      const stored = journal[seen.seq - 1];
      verdict.require(
        same(stored, seen),
        "I2",
        `${what}, but it is ${JSON.stringify(stored)} now, not ${JSON.stringify(seen)}.`,
      );
    }
  }
}

/** A result that was told stands, unless its task got another life. */
function checkResults(evidence: Evidence, verdict: Verdict): void {
  const { told, tasks } = evidence;
  for (const { taskId, result } of told.results) {
    const row = tasks.find(({ id }) => id === taskId);
    if (row === undefined || wasReplayed(evidence, taskId)) continue;
    const { status, output, error, stepsUsed, tokensUsed, toolCalls } = row;
    const now = { status, output: output ?? "", error, stepsUsed, tokensUsed, toolCalls };
    const then = {
      status: result.status,
      output: result.output,
      error: result.error,
      stepsUsed: result.stepsUsed,
      tokensUsed: result.tokensUsed,
      toolCalls: result.toolCalls,
    };
    const message = `${nameOf(taskId)} was told to be ${JSON.stringify(then)} and is ${JSON.stringify(now)}.`;
    verdict.require(same(then, now), "I7", message);
  }
}

/** Whether the customer knows of it or not. */
function wasReplayed(evidence: Evidence, taskId: string): boolean {
  return journalOf(evidence, taskId).some(({ kind }) => kind === "replay");
}

function checkAnswers(evidence: Evidence, verdict: Verdict): void {
  const { told, approvals, tasks } = evidence;
  for (const { approvalId, answer, by, taken } of told.answers) {
    const row = approvals.find(({ id }) => id === approvalId);
    const what = `The answer "${answer.decision}" of ${by} to …${approvalId.slice(-4)}`;
    const stands = row?.status === "answered" && same(row.answer, answer) && row.answeredBy === by;
    if (taken) verdict.require(stands, "I7", `${what} was taken, but it is ${JSON.stringify(row)}.`);
  }
  const taken = Map.groupBy(
    told.answers.filter((each) => each.taken),
    ({ approvalId }) => approvalId,
  );
  for (const [id, answers] of taken) {
    verdict.require(answers.length === 1, "I7", `${answers.length} answers to …${id.slice(-4)} were taken.`);
  }
  const asked = new Set(approvals.map(({ id }) => id));
  for (const { id: taskId } of tasks) {
    for (const { kind, seq, ...entry } of journalOf(evidence, taskId)) {
      const isCopy = evidence.copied.has(`${taskId} ${seq}`);
      const isAsked = isCopy || !("approvalId" in entry) || asked.has(entry.approvalId);
      verdict.require(isAsked, "I7", `The ${kind} at ${seq} of ${nameOf(taskId)} is of no question that is known.`);
    }
  }
  for (const { id, taskId, status } of approvals) {
    const entries = journalOf(evidence, taskId).filter((entry) => entry.kind === "answer" && entry.approvalId === id);
    const expected = status === "answered" ? 1 : 0;
    const what = `The question …${id.slice(-4)} of ${nameOf(taskId)} is ${status}`;
    verdict.require(entries.length === expected, "I7", `${what} and has ${entries.length} answers in the journal.`);
    const isOpen = status === "pending" && tasks.some((task) => task.id === taskId && task.finishedAt !== null);
    verdict.require(!isOpen, "I7", `${what}, though its task has ended.`);
  }
}

/**
 * A cancel that was acknowledged is heard of with the next write: the model turn that was under way may still be written,
 * and no other begins. And nobody cancels what is not theirs.
 */
function checkCancels(evidence: Evidence, verdict: Verdict): void {
  const { told, tasks, history } = evidence;
  for (const { taskId, at } of told.cancelled) {
    if (wasReplayed(evidence, taskId)) continue;
    const later = history.filter((change) => change.of === "entry" && change.task === taskId && change.at > at);
    const turns = later.filter((change) => change.of === "entry" && change.kind === "model");
    const message = `${nameOf(taskId)} was cancelled, and ${turns.length} model turns were written after that.`;
    verdict.require(turns.length <= 1, "I7", message);
    const asked = later.some(
      (change) =>
        change.of === "entry" &&
        (change.kind === "question" || change.kind === "answer" || change.taskStatus === "waiting"),
    );
    verdict.require(!asked, "I7", `${nameOf(taskId)} was cancelled, and went on with its questions.`);
  }
  for (const { id, cancelRequestedBy: by } of tasks) {
    verdict.require(by === null || by === customer, "I8", `${nameOf(id)} was cancelled by ${by}, whose it is not.`);
  }
}

/** What a model is shown of a conversation: the completed tasks of that very session, in their order. */
function checkConversations({ book, scripts, tasks }: Evidence, verdict: Verdict): void {
  for (const call of book.calls) {
    const { tenant, session } = scripts.get(call.script);
    for (const name of call.history) {
      const before = scripts.get(name);
      const isOwn = before.tenant === tenant && before.session === session;
      verdict.require(isOwn, "I8", `The model was shown ${name} in the conversation of ${call.script}.`);
    }
  }
  for (const task of tasks) {
    const script = scriptNameIn(task.input.prompt);
    const known = script === undefined ? undefined : scripts.get(script);
    const isOwn = known?.tenant === task.tenant;
    verdict.require(isOwn, "I8", `${nameOf(task.id)} of ${task.tenant} has the prompt of ${known?.tenant}.`);
  }
}
