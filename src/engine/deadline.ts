/**
 * A task's deadline cuts off what is under way, as a cancel does: a model turn ends with what it had said by then, a tool is
 * told to leave, and one whose effect happens once is waited for. That the task fails then is for the program to decide.
 */
import type { EntryBody } from "../agent/journal.ts";
import type { Clock } from "../platform/clock.ts";
import { HoldfastError } from "../platform/errors.ts";
import type { EffectContext } from "./program.ts";

/** @param deadline milliseconds since the epoch; infinite: there is none */
export async function withinDeadline(
  { clock, deadline }: { clock: Clock; deadline: number },
  context: EffectContext,
  run: (context: EffectContext) => Promise<readonly EntryBody[]>,
): Promise<readonly EntryBody[]> {
  if (deadline === Number.POSITIVE_INFINITY) return run(context);
  const passed = new AbortController();
  let cancelTimer = (): void => {};
  // A timer may come a moment too early; what is decided after this must find the deadline passed.
  const look = (): void => {
    const leftMs = deadline - clock.now();
    if (leftMs <= 0) passed.abort(new HoldfastError("deadline_exceeded", "The task's deadline has passed."));
    else cancelTimer = clock.timer(leftMs, look);
  };
  look();
  try {
    return await run({ ...context, cancelled: AbortSignal.any([context.cancelled, passed.signal]) });
  } catch (error) {
    if (passed.signal.aborted && error === passed.signal.reason) return [];
    throw error;
  } finally {
    cancelTimer();
  }
}
