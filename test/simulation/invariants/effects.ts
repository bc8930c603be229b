/** I4 and I6: what happened outside, held against the journals; what models billed, held against budgets. */
import type { Usage } from "../../../src/agent/conversation.ts";
import type { Entry } from "../../../src/agent/journal.ts";
import { journalOf, nameOf, type Evidence } from "./evidence.ts";
import type { Verdict } from "./violation.ts";

export function checkEffects(evidence: Evidence, verdict: Verdict): void {
  checkCalls(evidence, verdict);
  checkOutcomes(evidence, verdict);
  checkSpending(evidence, verdict);
}

/** A call of a script may be asked for again in a later life of its task, under another key. */
function checkCalls({ outside }: Evidence, verdict: Verdict): void {
  const byKey = Map.groupBy(outside.effects, ({ key }) => key);
  for (const [key, effects] of byKey) {
    const [first] = effects;
    const isOnce = first?.tool === "pay";
    const happened = `${first?.tool} of ${nameOf(first?.taskId ?? "")} happened ${effects.length} times under ${key.slice(-8)}`;
    verdict.require(!isOnce || effects.length === 1, "I4", `${happened}.`);
    verdict.require(new Set(effects.map(({ call }) => call)).size === 1, "I4", `${key} stands for several calls.`);
  }
}

/** Every effect is one the journal asked for; every outcome in it is one that happened. */
function checkOutcomes(evidence: Evidence, verdict: Verdict): void {
  const { outside } = evidence;
  const keys = new Set<string>();
  for (const task of evidence.tasks) {
    for (const entry of journalOf(evidence, task.id)) {
      if (entry.kind === "model") {
        const calls = entry.parts.filter((part) => part.type === "call");
        for (const index of calls.keys()) keys.add(`${task.id}:${entry.seq}:${index}`);
      }
      if (entry.kind === "tool" && entry.outcome.ok) {
        const { receipt } = entry.outcome.output as { receipt?: number };
        const real = outside.effects.find((effect) => effect.receipt === receipt);
        const isTrue = real?.tool === entry.tool && ancestry(evidence.tasks, task.id).includes(real.taskId);
        verdict.require(isTrue, "I4", `${nameOf(task.id)} has an outcome of ${entry.tool} that never happened.`);
      }
    }
  }
  const known = new Set(evidence.tasks.map(({ id }) => id));
  for (const { tool, key, taskId, process } of outside.effects) {
    // What only reads does not wait until the turn that asked for it is durable.
    if (!known.has(taskId) || tool === "look") continue;
    verdict.require(keys.has(key), "I4", `${process} let ${tool} of ${nameOf(taskId)} happen under the key ${key}.`);
  }
}

/** A task and those it was forked from: a fork's journal begins with a copy. */
function ancestry(tasks: Evidence["tasks"], taskId: string): string[] {
  const from = tasks.find(({ id }) => id === taskId)?.forkedFrom ?? null;
  return from === null ? [taskId] : [taskId, ...ancestry(tasks, from)];
}

function checkSpending(evidence: Evidence, verdict: Verdict): void {
  for (const task of evidence.tasks) {
    const journal = journalOf(evidence, task.id);
    const turns = journal.filter((entry): entry is Entry & { kind: "model" } => entry.kind === "model");
    for (const turn of turns) {
      // Nobody reports what a call had used that was cut off.
      if (turn.finish === "interrupted") {
        verdict.require(turn.usage.estimated, "I6", `${nameOf(task.id)} knows what a call used that was cut off.`);
        continue;
      }
      const bill = evidence.book.bills.get(replyIn(turn));
      const isSettled = bill?.input === turn.usage.input && bill.output === turn.usage.output;
      const what = `${nameOf(task.id)} journals ${JSON.stringify(turn.usage)} of a turn that was billed ${JSON.stringify(bill)}`;
      verdict.require(isSettled, "I6", `${what}.`);
    }
    if (task.status !== "completed" && task.status !== "failed") continue;
    const tokens = journal.flatMap(paidIn).reduce((sum, { input, output }) => sum + input + output, 0);
    const told = `${task.stepsUsed} steps and ${task.tokensUsed} tokens, but its journal ${turns.length} and ${tokens}`;
    const isTold = task.stepsUsed === turns.length && task.tokensUsed === tokens;
    verdict.require(isTold, "I6", `${nameOf(task.id)} says it used ${told}.`);
    checkLimits(journal, { name: nameOf(task.id), mostSteps: task.agent === "asking" ? 2 : 9 }, verdict);
  }
}

function paidIn(entry: Entry): Usage[] {
  if (entry.kind !== "model" && entry.kind !== "failure") return [];
  const attempts = entry.attempts.flatMap(({ usage }) => usage ?? []);
  return entry.kind === "model" ? [...attempts, entry.usage] : attempts;
}

/** No turn begins beyond a ceiling that nobody raised. */
function checkLimits(
  journal: readonly Entry[],
  { name, mostSteps }: { name: string; mostSteps: number },
  verdict: Verdict,
): void {
  let steps = 0;
  let ceiling = mostSteps;
  for (const entry of journal) {
    if (entry.kind === "model") steps += 1;
    if (entry.kind === "answer" && entry.answer.decision === "continue") ceiling *= 2;
    if (entry.kind === "replay" && entry.prompt !== null) steps = 0;
    verdict.require(steps <= ceiling, "I6", `${name} took ${steps} steps, and may take ${ceiling}.`);
  }
}

export function replyIn({ parts }: Entry & { kind: "model" }): string {
  for (const part of parts) {
    if (part.type === "call") return part.id.split("_")[0] ?? "";
    const marked = part.type === "text" ? /\[(r\d+)\]$/.exec(part.text) : null;
    if (marked) return marked[1] ?? "";
  }
  return "";
}
