/**
 * What is going on in this process, for those who watch: hints that there is work, entries that became durable, pieces of
 * answers in the making. All of it may be lost with no harm: whoever misses a hint finds the truth in the store.
 */
import type { Delta } from "../agent/conversation.ts";
import type { Entry } from "../agent/journal.ts";
import type { EndedTask } from "../store/task-row.ts";
import { LiveText, type Piece } from "./live-text.ts";

/** News of one task, of this process's own making. `changed`: something happened; look into the store. */
export type News =
  | { readonly type: "entries"; readonly taskId: string; readonly entries: readonly Entry[] }
  /** Of an attempt at a turn. A piece of no text says that the attempt begins. */
  | { readonly type: "piece"; readonly taskId: string; readonly piece: Piece }
  | { readonly type: "ended"; readonly taskId: string; readonly task: EndedTask }
  | { readonly type: "changed"; readonly taskId: string };

/** What everybody wants to know, in other processes too. */
export type Hint =
  | { readonly type: "work" }
  | { readonly type: "cancel"; readonly taskId: string; readonly by: string }
  /** There is a message to the task that interrupts. */
  | { readonly type: "interrupt"; readonly taskId: string };

export type Origin = "here" | "elsewhere";
type HintListener = (hint: Hint, origin: Origin) => void;
type NewsListener = (news: News) => void;

/** The kinds of entries after which the text that was in flight is void. */
const endsTurn: ReadonlySet<Entry["kind"]> = new Set<Entry["kind"]>(["model", "failure", "replay", "end"]);

/** Whether the text of a turn in flight is void after this entry. */
export function endsTheTurn({ kind }: Entry): boolean {
  return endsTurn.has(kind);
}

export class Hub {
  readonly #hintListeners = new Set<HintListener>();
  readonly #newsListeners = new Set<NewsListener>();
  /** The text of each model turn that is in flight in this process. */
  readonly #live = new Map<string, LiveText>();
  #attempts = 0;

  hint(hint: Hint, origin: Origin = "here"): void {
    for (const listener of this.#hintListeners) listener(hint, origin);
  }

  /** Entries of a task that are durable now. */
  entries(taskId: string, entries: readonly Entry[]): void {
    const live = this.#live.get(taskId);
    const last = entries.at(-1);
    if (live !== undefined && last !== undefined) {
      if (entries.some(endsTheTurn)) this.#live.delete(taskId);
      else live.continueAfter(last.seq);
    }
    this.#tell({ type: "entries", taskId, entries });
  }

  /** Something was done to a task from outside, or its run has left it: no text of it is in flight here. */
  changed(taskId: string): void {
    this.#live.delete(taskId);
    this.#tell({ type: "changed", taskId });
  }

  ended(task: EndedTask): void {
    this.#tell({ type: "ended", taskId: task.id, task });
  }

  /** A model turn begins in this process. @returns takes the pieces of its answer as they come */
  openTurn({ taskId, afterSeq, epoch }: { taskId: string; afterSeq: number; epoch: number }): (delta: Delta) => void {
    let live: LiveText | undefined;
    const begin = (): LiveText => {
      live = new LiveText({ afterSeq, epoch, attempt: ++this.#attempts });
      this.#live.set(taskId, live);
      return live;
    };
    const tell = (attempt: LiveText, piece: Omit<Piece, "turn">): void => {
      const whole = { ...piece, turn: attempt.turn };
      attempt.add(whole);
      this.#tell({ type: "piece", taskId, piece: whole });
    };
    return (delta) => {
      if (delta.type === "restart") return tell(begin(), { type: "text", at: 0, text: "" });
      const attempt = live ?? begin();
      tell(attempt, { type: delta.type, at: delta.type === "text" ? attempt.end : 0, text: delta.text });
    };
  }

  /** The text of the turn in flight, if it is in flight here. */
  live(taskId: string): LiveText | undefined {
    return this.#live.get(taskId);
  }

  /** Listeners of all kinds must neither throw nor block. Each `on…` answers the function that ends it. */
  onHint(listener: HintListener): () => void {
    this.#hintListeners.add(listener);
    return () => this.#hintListeners.delete(listener);
  }

  onNews(listener: NewsListener): () => void {
    this.#newsListeners.add(listener);
    return () => this.#newsListeners.delete(listener);
  }

  #tell(news: News): void {
    for (const listener of this.#newsListeners) listener(news);
  }
}
