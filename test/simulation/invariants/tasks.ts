/** I1, I3 and I5: what becomes of tasks, who may touch them, and in what order; of I9 that a loss is charged once. From the history of the rows. */
import type { EntryChange, LeaseChange, TaskChange } from "../history.ts";
import { endedStatuses, journalOf, nameOf, type Evidence } from "./evidence.ts";
import type { Verdict } from "./violation.ts";

const lawful: readonly string[] = [
  "null pending",
  "null running",
  "pending running",
  "pending cancelled",
  "running running",
  "running waiting",
  "running pending",
  "running completed",
  "running failed",
  "running cancelled",
  "waiting pending",
  "waiting cancelled",
  "failed pending",
];

export function checkTasks(evidence: Evidence, verdict: Verdict): void {
  const course = new Course(verdict);
  for (const change of evidence.history) {
    if (change.of === "lease") course.lease(change);
    if (change.of === "task") course.task(change);
    if (change.of === "entry") course.entry(change);
  }
  checkEnds(evidence, verdict);
}

/** Follows the history from change to change. */
class Course {
  readonly #verdict: Verdict;
  readonly #tasks = new Map<string, TaskChange>();
  /** Which process took which lease. */
  readonly #holders = new Map<string, string>();
  readonly #endedLeases = new Set<string>();
  readonly #lastSeq = new Map<string, number>();
  /** Tasks whose worker was lost, or broke, and nobody has written yet what that may have cost. */
  readonly #lost = new Set<string>();

  constructor(verdict: Verdict) {
    this.#verdict = verdict;
  }

  lease({ worker, change, actor }: LeaseChange): void {
    if (change === "taken") this.#holders.set(worker, actor);
    else this.#endedLeases.add(worker);
    const isOwn = this.#holders.get(worker) === actor;
    this.#verdict.require(change !== "ended early" || isOwn, "I3", `${actor} ended a lease of a living worker.`);
  }

  task(change: TaskChange): void {
    const { task, from, to } = change;
    if (to === null) {
      this.#verdict.require(endedStatuses.includes(from ?? ""), "I1", `${nameOf(task)} was deleted while ${from}.`);
      this.#tasks.delete(task);
      return;
    }
    this.#checkCourse(change);
    this.#checkOwner(change);
    const isLoss = to === "waiting" || this.#endedLeases.has(change.fromOwner ?? "");
    if (from === "running" && to !== "running" && isLoss) this.#lost.add(change.task);
    const isDropped = from !== "running" && to === "cancelled" && change.owes;
    this.#verdict.require(
      !isDropped,
      "I9",
      `${nameOf(task)} was cancelled by ${change.actor}, and a loss is not charged.`,
    );
    this.#tasks.set(task, change);
    if (to === "running" && from !== "running") this.#checkOrder(change);
  }

  /** Entries come with the next number, from the holder of the newest epoch. */
  entry(change: EntryChange): void {
    const { operation, task, seq, epoch, kind, taskEpoch, taskStatus, actor, changed } = change;
    const what = `entry ${seq} (${kind}) of ${nameOf(task)}`;
    if (operation === "DELETE") return this.#verdict.require(taskStatus === null, "I2", `${actor} deleted ${what}.`);
    if (operation === "UPDATE") return this.#verdict.require(!changed, "I2", `${actor} changed ${what}.`);
    const before = this.#lastSeq.get(task) ?? 0;
    this.#verdict.require(seq === before + 1, "I2", `${what} follows entry ${before}.`);
    this.#lastSeq.set(task, seq);
    if (change.code === "worker_lost" && epoch > 0) {
      this.#verdict.require(this.#lost.delete(task), "I9", `${actor} wrote a loss, ${what}, that was no new one.`);
    }
    const stale = `${what} was written by ${actor} under epoch ${epoch}, but the task is at epoch ${taskEpoch}.`;
    this.#verdict.require(epoch === taskEpoch || epoch === 0, "I3", stale);
    const isOfWorker = ["model", "intent", "tool", "failure", "question"].includes(kind);
    if (epoch === 0 || !isOfWorker) return;
    const holder = this.#holders.get(this.#tasks.get(task)?.owner ?? "");
    const isRunning = taskStatus === "running";
    const stolen = `${what} was written by ${actor}, but ${holder} holds the task.`;
    this.#verdict.require(!isRunning || holder === actor, "I3", stolen);
  }

  #checkCourse({ task, from, to, fromEpoch, epoch, wasDeadLetter, actor }: TaskChange): void {
    const step = `${nameOf(task)} went from ${from} to ${to} by ${actor}`;
    const isTerminal = endedStatuses.includes(from ?? "");
    this.#verdict.require(lawful.includes(`${from} ${to}`) || from === to, "I1", `${step}.`);
    this.#verdict.require(!isTerminal || from === to || wasDeadLetter, "I1", `${step}, and was no dead letter.`);
    const raised = from !== null && from !== "running" && to === "running";
    const expected = raised ? (fromEpoch ?? 0) + 1 : (fromEpoch ?? epoch);
    this.#verdict.require(epoch === expected, "I3", `${step} with the epoch ${fromEpoch} → ${epoch}.`);
  }

  /** A running task leaves its worker by that worker's own doing, or after its lease has ended. */
  #checkOwner({ task, from, to, owner, fromOwner, actor }: TaskChange): void {
    if (from !== "running") return;
    const holder = this.#holders.get(fromOwner ?? "");
    const isLawful = holder === actor || this.#endedLeases.has(fromOwner ?? "") || (to === from && owner === fromOwner);
    const what = `${nameOf(task)}, held by ${holder}, became ${to} by ${actor}, though the lease had not ended.`;
    this.#verdict.require(isLawful, "I3", what);
  }

  #checkOrder({ task, tenant, session, position }: TaskChange): void {
    for (const other of this.#tasks.values()) {
      if (other.task === task || other.tenant !== tenant || other.session !== session) continue;
      const both = `${nameOf(task)} (position ${position}) began in session ${tenant}/${session} while ${nameOf(other.task)}`;
      const where = `${both} (position ${other.position}) was ${other.to}.`;
      this.#verdict.require(other.to !== "running", "I5", where);
      const isEarlier = other.position < position && !endedStatuses.includes(other.to ?? "");
      this.#verdict.require(!isEarlier, "I5", where);
    }
  }
}

function cameLate({ history, endedAt }: Evidence, taskId: string): boolean {
  const stored = history.find((change) => change.of === "task" && change.task === taskId);
  return stored !== undefined && stored.at >= endedAt;
}

function checkEnds(evidence: Evidence, verdict: Verdict): void {
  for (const task of evidence.tasks) {
    const journal = journalOf(evidence, task.id);
    const name = nameOf(task.id);
    const numbers = journal.map(({ seq }) => seq);
    verdict.require(
      numbers.every((seq, index) => seq === index + 1),
      "I2",
      `${name} has the entries ${numbers.join()}.`,
    );
    const hasEnded = endedStatuses.includes(task.status);
    // A request that got stuck, and was given up by its customer, may store a task when nobody is there to run it any more.
    verdict.require(hasEnded || cameLate(evidence, task.id), "liveness", `${name} is ${task.status} at the end.`);
    if (!hasEnded) continue;
    const last = journal.at(-1);
    const isTrue = last?.kind === "end" && last.status === task.status && last.error === task.error;
    verdict.require(
      isTrue,
      "I1",
      `${name} is ${task.status} (${task.error}), but its journal ends with ${JSON.stringify(last)}.`,
    );
    const ends = journal.filter(({ kind }) => kind === "end").length;
    const lives = journal.filter(({ kind }) => kind === "replay").length + 1;
    verdict.require(ends === lives, "I1", `${name} had ${lives} lives and ${ends} ends.`);
    verdict.require(task.leaseOwner === null, "I3", `${name} has ended and is still held.`);
  }
  for (const { tenant, id, openTasks } of evidence.sessions) {
    const mine = evidence.tasks.filter((task) => task.tenant === tenant && task.sessionId === id);
    const open = mine.filter(({ status }) => !endedStatuses.includes(status)).length;
    verdict.require(
      openTasks === open,
      "I1",
      `Session ${tenant}/${id} counts ${openTasks} open tasks, and has ${open}.`,
    );
  }
}
