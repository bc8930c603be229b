/**
 * What the engine runs: a program decides, the engine makes its decisions durable. The agent loop is one program.
 *
 * A program is pure but for the `run` of its effects. Its state is a fold over the journal, so any process can go on with
 * it, and nothing it holds in memory needs to survive.
 */
import type { Message } from "../agent/conversation.ts";
import type { Entry, EntryBody, MessageEntry } from "../agent/journal.ts";
import type { Failures } from "../agent/failures.ts";
import type { ClaimedTask, TaskProgress } from "../store/task-row.ts";

export interface Program<State> {
  begin(): State;
  fold(state: State, entry: Entry): State;
  /** @param now milliseconds since the epoch */
  next(state: State, now: number): Step;
  progress(state: State): TaskProgress;
  /** Failures of the task itself in a row, by which the engine backs off. */
  failures(state: State): Failures;
  /** What is journaled before anything else when the worker before was lost: the effect that was due may have happened. */
  lost(state: State, call: LostCall): readonly EntryBody[];
  /** What a completed task adds to its conversation. */
  said(state: State): Said;
  /** Whether messages of the user have a place here at all. */
  listens(state: State, now: number): boolean;
  /** Whether the task would go on with these messages if they were given to it now. */
  hears(state: State, messages: readonly MessageEntry[], now: number): boolean;
}

export interface Said {
  readonly messages: readonly Message[];
  /** A summary among them holds what was said before, in the tasks before, too: they are not shown any more. */
  readonly standsForAll: boolean;
}

/** What is known of a model call whose worker was lost. */
export interface LostCall {
  /** What it had said, as far as that was kept. */
  readonly text: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** A program of which the engine need not know the state. */
export interface OpenedProgram {
  readonly fold: (entry: Entry) => void;
  readonly next: (now: number) => Step;
  readonly progress: () => TaskProgress;
  readonly failures: () => Failures;
  readonly lost: (call: LostCall) => readonly EntryBody[];
  readonly said: () => Said;
  readonly listens: (now: number) => boolean;
  readonly hears: (messages: readonly MessageEntry[], now: number) => boolean;
}

/** Makes the program for a claimed task, reading what it needs (its conversation) from the store. */
export type OpenProgram = (task: ClaimedTask) => Promise<OpenedProgram>;

export type Step =
  /** Does something; the entries it answers become durable before the next step's effect. */
  | {
      readonly type: "effect";
      /** Nobody can tell that it happened: it need not wait until what asked for it is durable. */
      readonly onlyReads: boolean;
      readonly run: (context: EffectContext) => Promise<readonly EntryBody[]>;
    }
  /** Waits, holding no worker, until a time (milliseconds since the epoch) or, if null, an event. */
  | { readonly type: "park"; readonly entries: readonly EntryBody[]; readonly until: number | null }
  | {
      readonly type: "end";
      readonly status: "completed" | "failed" | "cancelled";
      readonly error: string | null;
      readonly message: string;
    };

export interface EffectContext {
  /** Makes an entry durable before it resolves: for intents, and for outcomes that must not wait for slower siblings. */
  readonly append: (entry: EntryBody) => Promise<void>;
  /** The lease is lost or the process stops: leave everything. */
  readonly abandoned: AbortSignal;
  /** Somebody cancelled the task, its deadline has passed, or `abandoned`: leave what may be left without harm. */
  readonly cancelled: AbortSignal;
  /** A message of the user makes the model turn pointless. It is asked for when a turn begins. */
  readonly interruption: () => AbortSignal;
}

/** Binds a program to its state. */
export function openProgram<State>(program: Program<State>): OpenedProgram {
  let state = program.begin();
  return {
    fold: (entry) => {
      state = program.fold(state, entry);
    },
    next: (now) => program.next(state, now),
    progress: () => program.progress(state),
    failures: () => program.failures(state),
    lost: (call) => program.lost(state, call),
    said: () => program.said(state),
    listens: (now) => program.listens(state, now),
    hears: (messages, now) => program.hears(state, messages, now),
  };
}
