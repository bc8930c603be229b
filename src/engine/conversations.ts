/**
 * What was said in a session before a task: folded from the journals of its completed tasks.
 *
 * A worker keeps the conversations it used last, each good as long as the session's version is the one it was read at, so
 * that a busy conversation costs no read. (The claim carries the version.)
 */
import type { Message } from "../agent/conversation.ts";
import type { Entry } from "../agent/journal.ts";
import { defaultLimits } from "../agent/definition.ts";
import { begin, fold } from "../agent/state.ts";
import type { Store } from "../store/store.ts";
import type { ClaimedTask, TaskInput } from "../store/task-row.ts";
import { saidIn } from "./agent-program.ts";

/** Older exchanges are not shown to the model. */
export const mostExchanges = 100;

export type Conversations = ReturnType<typeof createConversations>;

export function createConversations({ store, mostCached = 1_000 }: { store: Store; mostCached?: number }) {
  const cached = new Map<string, { key: string; exchanges: readonly (readonly Message[])[] }>();

  const remember = (sessionKey: string, key: string, exchanges: readonly (readonly Message[])[]): void => {
    // A Map keeps insertion order: deleting first makes this the newest, and the first key the oldest.
    cached.delete(sessionKey);
    cached.set(sessionKey, { key, exchanges: exchanges.slice(-mostExchanges) });
    if (cached.size > mostCached) cached.delete(cached.keys().next().value ?? "");
  };

  return {
    /** The messages before this task, oldest first. */
    async before(task: ClaimedTask): Promise<readonly Message[]> {
      if (task.sessionVersion === 0) return task.input.history;
      const sessionKey = `${task.tenant} ${task.sessionId}`;
      const key = `${task.sessionCreatedAt} ${task.sessionVersion}`;
      let hit = cached.get(sessionKey);
      if (hit?.key !== key) {
        const { tenant, sessionId, position } = task;
        const read = await readExchanges(store, { tenant, sessionId, before: position, limit: mostExchanges });
        remember(
          sessionKey,
          key,
          read.map(({ messages }) => messages),
        );
        hit = cached.get(sessionKey);
      }
      return (hit?.exchanges ?? []).flat();
    },

    /** The task has completed: what it said is the end of the conversation at the next version. */
    completed(task: ClaimedTask, said: readonly Message[]): void {
      const sessionKey = `${task.tenant} ${task.sessionId}`;
      const known = cached.get(sessionKey);
      const isCurrent = known?.key === `${task.sessionCreatedAt} ${task.sessionVersion}`;
      if (task.sessionVersion > 0 && !isCurrent) return;
      const exchanges = [...(isCurrent ? known.exchanges : []), said];
      remember(sessionKey, `${task.sessionCreatedAt} ${task.sessionVersion + 1}`, exchanges);
    },
  };
}

/** What each completed task of a session added to the conversation, oldest first. */
export async function readExchanges(
  store: Store,
  page: { tenant: string; sessionId: string; before: number | null; limit: number },
): Promise<{ taskId: string; position: number; messages: readonly Message[] }[]> {
  const rows = (await store.exchanges(page)).toReversed();
  const journals = rows.length === 0 ? new Map<string, Entry[]>() : await store.journals(rows.map(({ id }) => id));
  return rows.map(({ id, position, input }) => {
    return { taskId: id, position, messages: messagesOf(input, journals.get(id) ?? []) };
  });
}

/** What one completed task added, from its journal. */
function messagesOf(input: TaskInput, entries: readonly Entry[]): Message[] {
  const start = begin({ prompt: input.prompt, limits: defaultLimits, submittedAt: 0, overheadTokens: 0 });
  return saidIn(input, entries.reduce(fold, start));
}
