/**
 * Keeps the text of turns in flight in the store, a few times a second and all tasks in one statement, so that a reader
 * who comes late, perhaps to another process, sees how far the answer is.
 *
 * One statement at a time: two on their way could arrive in the wrong order, and leave an old text.
 */
import type { Clock } from "../platform/clock.ts";
import { createBackground } from "../platform/background.ts";
import type { PartialText } from "../store/queries/journal.ts";
import type { Store } from "../store/store.ts";
import type { Logger } from "../telemetry/log.ts";
import { logStoreTrouble } from "../telemetry/store-trouble.ts";
import type { Hub } from "./hub.ts";
import type { Turn } from "./live-text.ts";

const saveEveryMs = 300;

/** What is known of the row of a task. */
interface Row {
  readonly turn: Turn;
  /** How much text it holds; undefined: it may or may not have been written. */
  readonly length: number | undefined;
}

/** @returns a function that stops it */
export function savePartials(deps: {
  hub: Hub;
  store: Pick<Store, "savePartials">;
  clock: Clock;
  log: Logger;
}): () => Promise<void> {
  const { hub, store, clock, log } = deps;
  const background = createBackground((_name, error) => logStoreTrouble(log, error, "cannot save partial text"));
  /** Tasks of which text has come since the last look. */
  const changed = new Set<string>();
  /** Each is looked after until its turn is over and it is removed. */
  const rows = new Map<string, Row>();
  let isSaving = false;
  let isStopped = false;
  let cancelTimer: (() => void) | undefined;

  const save = async (): Promise<void> => {
    const taskIds = new Set([...changed, ...rows.keys()]);
    changed.clear();
    const partials = [...taskIds]
      .flatMap((taskId) => toPartial(taskId) ?? [])
      .filter((partial) => differs(partial, rows.get(partial.taskId)));
    if (partials.length === 0) return;
    for (const { taskId, turn } of partials) rows.set(taskId, { turn, length: undefined });
    await store.savePartials(partials);
    for (const { taskId, turn, text } of partials) {
      if (text === "") rows.delete(taskId);
      else rows.set(taskId, { turn, length: text.length });
    }
  };

  /** Undefined: a turn that came and went between two saves, which never needs a row. */
  const toPartial = (taskId: string): PartialText | undefined => {
    const live = hub.live(taskId);
    const text = live?.textFrom(0) ?? "";
    const turn = live?.turn ?? rows.get(taskId)?.turn;
    return turn === undefined || (text === "" && !rows.has(taskId)) ? undefined : { taskId, turn, text };
  };

  const arm = (): void => {
    if (isSaving || isStopped) return;
    cancelTimer ??= clock.timer(saveEveryMs, () => {
      cancelTimer = undefined;
      isSaving = true;
      background.start("partials", () => save().finally(onSaved));
    });
  };
  const onSaved = (): void => {
    isSaving = false;
    if (changed.size > 0 || rows.size > 0) arm();
  };

  const stopListening = hub.onNews((news) => {
    if (news.type !== "piece" || news.piece.type !== "text") return;
    changed.add(news.taskId);
    arm();
  });
  return async () => {
    isStopped = true;
    stopListening();
    cancelTimer?.();
    await background.settled();
  };
}

function differs({ turn, text }: PartialText, row: Row | undefined): boolean {
  return (
    row === undefined ||
    row.length !== text.length ||
    row.turn.epoch !== turn.epoch ||
    row.turn.attempt !== turn.attempt ||
    row.turn.afterSeq !== turn.afterSeq
  );
}
