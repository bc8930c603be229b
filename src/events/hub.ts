/**
 * What is going on in this process, for those who watch: hints that there is work, entries that became durable, pieces of
 * answers in the making. All of it may be lost with no harm: whoever misses a hint finds the truth in the store.
 */
import type { Delta } from "../agent/conversation.ts";
import type { Entry } from "../agent/journal.ts";
import type { EndedTask } from "../store/task-row.ts";

/** News of one task. `changed`: something happened, perhaps elsewhere; look into the store. */
export type TaskNews =
  | { readonly type: "entries"; readonly entries: readonly Entry[] }
  | { readonly type: "delta"; readonly delta: Delta }
  /** It ended, in this process. */
  | { readonly type: "ended"; readonly task: EndedTask }
  | { readonly type: "changed" };

/** What other processes want to know, too. */
export type Hint =
  | { readonly type: "work" }
  | { readonly type: "cancel"; readonly taskId: string; readonly by: string }
  /** There is a message to the task that interrupts. */
  | { readonly type: "interrupt"; readonly taskId: string }
  | { readonly type: "changed"; readonly taskId: string };

export type Origin = "here" | "elsewhere";
type HintListener = (hint: Hint, origin: Origin) => void;
type TaskListener = (news: TaskNews) => void;

export class Hub {
  readonly #hintListeners = new Set<HintListener>();
  readonly #taskListeners = new Map<string, Set<TaskListener>>();
  readonly #deltaListeners = new Set<(taskId: string) => void>();
  /** The text of each model turn that is in flight in this process. */
  readonly #partials = new Map<string, string>();

  hint(hint: Hint, origin: Origin = "here"): void {
    for (const listener of this.#hintListeners) listener(hint, origin);
    if (hint.type !== "changed") return;
    if (origin === "here") this.#partials.delete(hint.taskId);
    this.#tell(hint.taskId, { type: "changed" });
  }

  /** Entries of a task that are durable now. */
  entries(taskId: string, entries: readonly Entry[]): void {
    if (entries.some(({ kind }) => kind === "model")) this.#partials.delete(taskId);
    this.#tell(taskId, { type: "entries", entries });
  }

  ended(task: EndedTask): void {
    this.#tell(task.id, { type: "ended", task });
  }

  delta(taskId: string, delta: Delta): void {
    if (delta.type === "restart") this.#partials.delete(taskId);
    if (delta.type === "text") this.#partials.set(taskId, (this.#partials.get(taskId) ?? "") + delta.text);
    for (const listener of this.#deltaListeners) listener(taskId);
    this.#tell(taskId, { type: "delta", delta });
  }

  /** The text so far of the turn in flight, if it is in flight here. */
  partial(taskId: string): string {
    return this.#partials.get(taskId) ?? "";
  }

  /** Listeners of all kinds must neither throw nor block. Each `on…` answers the function that ends it. */
  onHint(listener: HintListener): () => void {
    this.#hintListeners.add(listener);
    return () => this.#hintListeners.delete(listener);
  }

  onDelta(listener: (taskId: string) => void): () => void {
    this.#deltaListeners.add(listener);
    return () => this.#deltaListeners.delete(listener);
  }

  onTask(taskId: string, listener: TaskListener): () => void {
    const listeners = this.#taskListeners.get(taskId) ?? new Set();
    this.#taskListeners.set(taskId, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#taskListeners.get(taskId) === listeners) this.#taskListeners.delete(taskId);
    };
  }

  #tell(taskId: string, news: TaskNews): void {
    for (const listener of this.#taskListeners.get(taskId) ?? []) listener(news);
  }
}
