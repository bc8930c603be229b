/**
 * Deletes what is past its retention: ended tasks with their journals and approvals, conversations nobody uses, values no
 * task needs, answers of models that are too old to be given again, results that no broker came for, old rows of the
 * ledger. What exactly goes and what stays is said in store/queries/retention.ts.
 *
 * Any process does it, one at a time and once an hour. It works in pages that take a fraction of a second, rests three
 * times as long as it worked, makes the pages smaller when they take long, and waits while tasks wait to be claimed.
 */
import { createBackground } from "../platform/background.ts";
import type { Clock } from "../platform/clock.ts";
import { messageOf, UnavailableError } from "../platform/errors.ts";
import type { Random } from "../platform/random.ts";
import type { RetentionAges } from "../store/queries/retention.ts";
import type { Store } from "../store/store.ts";
import type { Logger } from "../telemetry/log.ts";
import { logStoreTrouble } from "../telemetry/store-trouble.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { mostExchanges } from "./conversations.ts";

/** How many days what has ended is kept; null: for ever. */
export interface Retention {
  /** Completed, cancelled and discarded tasks, and conversations that nobody uses. */
  readonly days: number | null;
  /** Failed tasks about which nobody has decided. */
  readonly deadLetterDays: number | null;
  /** The ledger of model calls, which outlives the tasks. */
  readonly usageDays: number | null;
}

export interface Pruned {
  tasks: number;
  entries: number;
  sessions: number;
  values: number;
  answers: number;
  /** Results that no broker came for. */
  results: number;
  /** Rows of the ledger. */
  usage: number;
}

export interface PruneDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

export interface PruneOptions {
  readonly retention: Retention;
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
}

const dayMs = 86_400_000;
const passEveryMs = 3_600_000;
/** A process that has just started has other things to do; and many that start together spread. */
const firstPassMs = { least: 30_000, most: 90_000 };
/** A value that has just been written may be about to be referred to. */
const unusedMs = dayMs;
/** A result that no broker came for goes after this time also where tasks are kept for ever. */
const mostResultDays = 30;

const firstPage = 100;
const page = { least: 10, most: 1_000 };
const fastMs = 50;
const slowMs = 250;
const restPerWork = 3;

/** So many tasks that could be claimed and are not: whoever claims them is behind, and should have the database. */
const mostClaimable = 1_000;
const behindPauseMs = 5_000;
/** What waits may wait for a worker that never comes: then the pages go on all the same, slowly. */
const mostBehindPauses = 120;
/** Another process deletes at this very moment: it will be done soon, or does all there is to do. */
const busyPauseMs = 200;
const mostBusyPauses = 50;

/** @returns a function that stops it */
export function keepRetention(
  deps: PruneDeps & { log: Logger; random: Random; retention: Retention },
): () => Promise<void> {
  const { store, clock, log, random, retention } = deps;
  const stopping = new AbortController();
  const { signal } = stopping;
  const background = createBackground((_name, error) => log.error({ error: messageOf(error) }, "retention broke"));

  const pass = async (): Promise<void> => {
    if (!(await store.beginUpkeep({ name: "retention", everyMs: passEveryMs }))) return;
    const from = clock.monotonic();
    const pruned = await prune(deps, { retention, dryRun: false, signal });
    const ms = Math.round(clock.monotonic() - from);
    const nothing = Object.values(pruned).every((count) => count === 0);
    log[nothing ? "debug" : "info"]({ ...pruned, ms }, "deleted what was past its retention");
  };
  background.start("retention", async () => {
    const sleep = (ms: number): Promise<void> => clock.sleep(ms, signal).catch(() => undefined);
    await sleep(firstPassMs.least + random() * (firstPassMs.most - firstPassMs.least));
    while (!signal.aborted) {
      try {
        await pass();
      } catch (error) {
        if (!signal.aborted) logStoreTrouble(log, error, "cannot delete what is past its retention; later");
      }
      await sleep(passEveryMs * (1 + random() / 10));
    }
  });
  return async () => {
    stopping.abort();
    await background.settled();
  };
}

/**
 * Deletes all that is past its retention, or only counts it.
 * @throws UnavailableError `prune_in_progress`; StoreError; the signal's reason
 */
export async function prune(deps: PruneDeps, options: PruneOptions): Promise<Pruned> {
  const pruned: Pruned = { tasks: 0, entries: 0, sessions: 0, values: 0, answers: 0, results: 0, usage: 0 };
  const { days, deadLetterDays } = options.retention;
  if (days !== null || deadLetterDays !== null) {
    await pruneTasks(deps, { ...options, pruned });
    await pruneValues(deps, { ...options, pruned });
  }
  // These have retentions of their own, however long the rest is kept.
  await pruneAnswers(deps, { ...options, pruned });
  await pruneResults(deps, { ...options, pruned });
  await pruneUsage(deps, { ...options, pruned });
  return pruned;
}

interface Pass extends PruneOptions {
  readonly pruned: Pruned;
}

async function pruneTasks(deps: PruneDeps, pass: Pass): Promise<void> {
  const { store, metrics } = deps;
  const { retention, dryRun, pruned } = pass;
  const ages: RetentionAges = { endedMs: toMs(retention.days), deadLettersMs: toMs(retention.deadLetterDays) };
  let after = "00000000-0000-0000-0000-000000000000";
  await inPages(deps, pass, async (limit) => {
    const done = await store.pruneTasks({ ...ages, after, limit, dryRun, historyTasks: mostExchanges });
    after = done.lastId ?? after;
    pruned.tasks += done.tasks;
    pruned.entries += done.entries;
    pruned.sessions += done.sessions;
    if (!dryRun) metrics.pruned({ task: done.tasks, entry: done.entries, session: done.sessions });
    return { alone: done.alone, more: done.scanned === limit && !done.young };
  });
}

async function pruneValues(deps: PruneDeps, pass: Pass): Promise<void> {
  const { store, metrics } = deps;
  const { dryRun, pruned } = pass;
  let after = { tenant: "", hash: "" };
  await inPages(deps, pass, async (limit) => {
    const done = await store.pruneValues({ after, limit, unusedMs, dryRun });
    after = done.last ?? after;
    pruned.values += done.values;
    if (!dryRun) metrics.pruned({ large_value: done.values });
    return { alone: done.alone, more: done.scanned === limit };
  });
}

async function pruneAnswers(deps: PruneDeps, pass: Pass): Promise<void> {
  const { store, metrics } = deps;
  const { dryRun, pruned } = pass;
  await inPages(deps, pass, async (limit) => {
    const answers = await store.pruneAnswers({ limit, dryRun });
    pruned.answers += answers;
    if (!dryRun) metrics.pruned({ answer: answers });
    return { alone: true, more: !dryRun && answers === limit };
  });
}

/** They wait for a broker and not for a reader: what is kept for ever is their tasks. */
async function pruneResults(deps: PruneDeps, pass: Pass): Promise<void> {
  const { store, metrics } = deps;
  const { retention, dryRun, pruned } = pass;
  const keptMs = (retention.days ?? mostResultDays) * dayMs;
  await inPages(deps, pass, async (limit) => {
    const results = await store.pruneResults({ keptMs, limit, dryRun });
    pruned.results += results;
    if (!dryRun) metrics.pruned({ outgoing_result: results });
    return { alone: true, more: !dryRun && results === limit };
  });
}

async function pruneUsage(deps: PruneDeps, pass: Pass): Promise<void> {
  const { store, metrics } = deps;
  const { retention, dryRun, pruned } = pass;
  const keptMs = toMs(retention.usageDays);
  if (keptMs === null) return;
  await inPages(deps, pass, async (limit) => {
    const done = await store.pruneUsage({ keptMs, limit, dryRun });
    pruned.usage += done.usage;
    if (!dryRun) metrics.pruned({ usage: done.usage });
    return { alone: done.alone, more: done.usage === limit && !dryRun };
  });
}

type Page = (limit: number) => Promise<{ alone: boolean; more: boolean }>;

async function inPages({ store, clock, metrics }: PruneDeps, { signal }: Pass, work: Page): Promise<void> {
  let limit = firstPage;
  let behindPauses = 0;
  let busyPauses = 0;
  // Bounded by the number of tasks or values: each page begins where the one before it ended.
  for (;;) {
    signal.throwIfAborted();
    if (behindPauses < mostBehindPauses && (await store.claimable(mostClaimable)) >= mostClaimable) {
      behindPauses += 1;
      limit = page.least;
      await clock.sleep(behindPauseMs, signal);
      continue;
    }
    const from = clock.monotonic();
    const { alone, more } = await work(limit);
    const tookMs = clock.monotonic() - from;
    if (!alone) {
      if (++busyPauses > mostBusyPauses) throw busy();
      await clock.sleep(busyPauseMs, signal);
      continue;
    }
    metrics.prunePage(tookMs);
    if (!more) return;
    if (tookMs > slowMs) limit = Math.max(page.least, Math.floor(limit / 4));
    else if (tookMs < fastMs) limit = Math.min(page.most, limit * 2);
    await clock.sleep(tookMs * restPerWork, signal);
  }
}

function toMs(days: number | null): number | null {
  return days === null ? null : days * dayMs;
}

function busy(): UnavailableError {
  const message = "Another process deletes what is past its retention. Let it finish, then try again.";
  return new UnavailableError("prune_in_progress", message, { afterMs: 10_000 });
}
