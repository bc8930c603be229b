/** I9: the ledger says what the journals say, no more and no less, and of whom; and all that models billed is in it. */
import type { Entry, FailedAttempt } from "../../../src/agent/journal.ts";
import { scriptNameIn } from "../scripts.ts";
import { replyIn } from "./effects.ts";
import { journalOf, nameOf, type Evidence } from "./evidence.ts";
import type { Verdict } from "./violation.ts";

export function checkLedger(evidence: Evidence, verdict: Verdict): void {
  checkJournals(evidence, verdict);
  checkBills(evidence, verdict);
}

function checkJournals(evidence: Evidence, verdict: Verdict): void {
  const rows = Map.groupBy(evidence.ledger, ({ taskId }) => taskId);
  for (const { id, ...task } of evidence.tasks) {
    const mine = rows.get(id) ?? [];
    const journal = journalOf(evidence, id).filter((entry) => !evidence.copied.has(`${id} ${entry.seq}`));
    const expected = journal.flatMap(linesOf).sort();
    const found = mine.map(({ line }) => line).sort();
    const what = `The ledger has [${found.join(", ")}] of ${nameOf(id)}, but its journal [${expected.join(", ")}]`;
    verdict.require(found.join() === expected.join(), "I9", `${what}.`);
    const owner = [task.tenant, task.agent, task.sessionId, task.userId].join("/");
    for (const row of mine) verdict.require(row.owner === owner, "I9", `${nameOf(id)} is charged to ${row.owner}.`);
  }
}

/** As `evidence.ledger` spells them: entry, input, output, micro-dollars. */
function linesOf(entry: Entry): string[] {
  if (entry.kind !== "model" && entry.kind !== "failure") return [];
  const paid: Pick<FailedAttempt, "usage" | "costMicros">[] = [...entry.attempts];
  if (entry.kind === "model") paid.push(entry);
  return paid.flatMap(({ usage, costMicros }) => {
    if (usage === undefined || usage.input + usage.output === 0) return [];
    return `${entry.seq}:${usage.input}:${usage.output}:${costMicros ?? "unknown"}`;
  });
}

/** Attempts at the models that one call may make: what a worker had paid for when it was lost counts as one. */
const mostAttempts = 6;

/**
 * Each reply that was billed is an answer in a journal, an attempt that failed, or one of those that lost workers had
 * asked for. (Several tasks may have the same script, of which a model cannot tell which one it serves.)
 */
function checkBills(evidence: Evidence, verdict: Verdict): void {
  const scripts = evidence.tasks.flatMap((task) => {
    const journal = journalOf(evidence, task.id);
    const replayed = journal.flatMap((entry) => (entry.kind === "replay" ? (entry.prompt ?? []) : []));
    const names = new Set([task.input.prompt, ...replayed].map(scriptNameIn));
    return [...names].map((name) => ({ name, journal }));
  });
  const journals = Map.groupBy(scripts, ({ name }) => name);
  for (const [script, bills] of Map.groupBy(evidence.book.bills, ([, bill]) => bill.script)) {
    const entries = (journals.get(script) ?? []).flatMap(({ journal }) => journal);
    const answers = new Set(entries.flatMap((entry) => (entry.kind === "model" ? replyIn(entry) : [])));
    const unanswered = bills.map(([reply]) => reply).filter((reply) => !answers.has(reply));
    const room = entries.reduce((sum, entry) => sum + roomIn(entry), 0);
    const what = `${script} was billed ${unanswered.join(", ")}, which the journals of its tasks do not have`;
    verdict.require(unanswered.length <= room, "I9", `${what}: they have room for ${room}.`);
  }
}

/** For how many replies that cannot be told by their ids an entry stands. */
function roomIn(entry: Entry): number {
  if (entry.kind === "failure" && entry.code === "worker_lost") return mostAttempts;
  if (entry.kind !== "model" && entry.kind !== "failure") return 0;
  // Cut off, or withheld by a content filter. (Of an attempt that broke off before it said anything nobody knows its price.)
  return entry.attempts.length + Number(entry.kind === "model" && replyIn(entry) === "");
}
