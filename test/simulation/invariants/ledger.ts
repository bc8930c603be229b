/** I9: the ledger says what the journals say, no more and no less, and of whom. */
import type { Entry, FailedAttempt } from "../../../src/agent/journal.ts";
import { journalOf, nameOf, type Evidence } from "./evidence.ts";
import type { Verdict } from "./violation.ts";

export function checkLedger(evidence: Evidence, verdict: Verdict): void {
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
