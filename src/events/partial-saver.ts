/**
 * Keeps the text of turns in flight in the store, a few times a second and all tasks in one statement, so that a reader
 * who reconnects, perhaps to another process, sees how far the answer is.
 */
import type { Clock } from "../platform/clock.ts";
import { createBackground } from "../platform/background.ts";
import { messageOf } from "../platform/errors.ts";
import type { Store } from "../store/store.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Hub } from "./hub.ts";

const saveEveryMs = 300;

/** @returns a function that stops it */
export function savePartials(deps: { hub: Hub; store: Store; clock: Clock; log: Logger }): () => Promise<void> {
  const { hub, store, clock, log } = deps;
  const background = createBackground((_name, error) =>
    log.warn({ error: messageOf(error) }, "cannot save partial text"),
  );
  const changed = new Set<string>();
  const saved = new Set<string>();
  let cancelTimer: (() => void) | undefined;

  const save = async (): Promise<void> => {
    cancelTimer = undefined;
    const partials = [...changed].map((taskId) => ({ taskId, text: hub.partial(taskId) }));
    changed.clear();
    // A turn that came and went between two saves never needs a row.
    const worthwhile = partials.filter(({ taskId, text }) => text !== "" || saved.has(taskId));
    for (const { taskId, text } of worthwhile) {
      if (text === "") saved.delete(taskId);
      else saved.add(taskId);
    }
    if (saved.size > 0) arm();
    for (const taskId of saved) changed.add(taskId);
    if (worthwhile.length > 0) await store.savePartials(worthwhile);
  };

  const arm = (): void => {
    cancelTimer ??= clock.timer(saveEveryMs, () => background.start("partials", save));
  };

  const stopListening = hub.onDelta((taskId) => {
    changed.add(taskId);
    arm();
  });
  return async () => {
    stopListening();
    cancelTimer?.();
    await background.settled();
  };
}
