/**
 * Keeps the text of turns in flight in the store, a few times a second and all tasks in one statement, so that a reader
 * who comes late, perhaps to another process, sees how far the answer is.
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

/** @returns a function that stops it */
export function savePartials(deps: { hub: Hub; store: Store; clock: Clock; log: Logger }): () => Promise<void> {
  const { hub, store, clock, log } = deps;
  const background = createBackground((_name, error) => logStoreTrouble(log, error, "cannot save partial text"));
  const changed = new Set<string>();
  /** The attempts of which there are rows. */
  const saved = new Map<string, Turn>();
  /** What these rows hold: a turn that says nothing for a while is not written again and again. */
  const written = new Map<string, PartialText>();
  let cancelTimer: (() => void) | undefined;

  const save = async (): Promise<void> => {
    cancelTimer = undefined;
    const partials = [...changed].flatMap((taskId) => toPartial(taskId) ?? []).filter(isNew);
    changed.clear();
    for (const { taskId, turn, text } of partials) {
      if (text === "") saved.delete(taskId);
      else saved.set(taskId, turn);
    }
    // A row is looked after until its turn is over.
    for (const taskId of saved.keys()) changed.add(taskId);
    if (saved.size > 0) arm();
    if (partials.length === 0) return;
    await store.savePartials(partials);
    for (const partial of partials) {
      if (partial.text === "") written.delete(partial.taskId);
      else written.set(partial.taskId, partial);
    }
  };

  const isNew = ({ taskId, turn, text }: PartialText): boolean => {
    const last = written.get(taskId);
    return (
      last === undefined ||
      last.text.length !== text.length ||
      last.turn.epoch !== turn.epoch ||
      last.turn.attempt !== turn.attempt ||
      last.turn.afterSeq !== turn.afterSeq
    );
  };

  /** Undefined: a turn that came and went between two saves, which never needs a row. */
  const toPartial = (taskId: string): PartialText | undefined => {
    const live = hub.live(taskId);
    const text = live?.textFrom(0) ?? "";
    const turn = live?.turn ?? saved.get(taskId);
    return turn === undefined || (text === "" && !saved.has(taskId)) ? undefined : { taskId, turn, text };
  };

  const arm = (): void => {
    cancelTimer ??= clock.timer(saveEveryMs, () => background.start("partials", save));
  };

  const stopListening = hub.onNews((news) => {
    if (news.type !== "piece" || news.piece.type !== "text") return;
    changed.add(news.taskId);
    arm();
  });
  return async () => {
    stopListening();
    cancelTimer?.();
    await background.settled();
  };
}
