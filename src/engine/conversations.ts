/**
 * What was said in a session before a task: folded from the journals of its completed tasks.
 *
 * However long a session is, a bounded part of it is read, and a task is shown no more of it than leaves room to work.
 *
 * A worker keeps the conversations it used last, each good as long as the session's version is the one it was read at, so
 * that a busy conversation costs no read. (The claim carries the version.)
 */
import type { Message } from "../agent/conversation.ts";
import type { Entry } from "../agent/journal.ts";
import type { Limits } from "../agent/definition.ts";
import { roughSize } from "../agent/json.ts";
import { tokensOf } from "../agent/limits.ts";
import { begin, briefToRead, fold } from "../agent/state.ts";
import type { Exchanges } from "../store/queries/sessions.ts";
import type { Store } from "../store/store.ts";
import type { ClaimedTask, TaskInput } from "../store/task-row.ts";
import { saidIn } from "./agent-program.ts";
import type { Said } from "./program.ts";

/** Older exchanges are not shown to the model. */
export const mostExchanges = 100;
/** Nor are journals read beyond this size together, however few they are. */
const mostHistoryBytes = 4 * 1024 * 1024;
/** Of a task's tokens what was said before it may take in each of its calls; the last exchange is shown in any case. */
const historyShare = 1 / 4;
/** Characters of all conversations that are kept in memory, about. */
const mostCachedChars = 32 * 1024 * 1024;

export type Conversations = ReturnType<typeof createConversations>;

interface Exchange extends Said {
  readonly chars: number;
}

interface Conversation {
  readonly key: string;
  readonly exchanges: readonly Exchange[];
  readonly chars: number;
}

export function createConversations({ store, mostCached = 1_000 }: { store: Store; mostCached?: number }) {
  const cached = new Map<string, Conversation>();
  let cachedChars = 0;

  const forget = (sessionKey: string): void => {
    cachedChars -= cached.get(sessionKey)?.chars ?? 0;
    cached.delete(sessionKey);
  };
  const remember = (sessionKey: string, key: string, exchanges: readonly Exchange[]): Conversation => {
    const shown = exchanges.slice(-mostExchanges);
    const conversation = { key, exchanges: shown, chars: shown.reduce((sum, { chars }) => sum + chars, 0) };
    // A Map keeps insertion order: forgetting first makes this the newest, and the first key the oldest.
    forget(sessionKey);
    cached.set(sessionKey, conversation);
    cachedChars += conversation.chars;
    while (cached.size > mostCached || cachedChars > mostCachedChars) forget(cached.keys().next().value ?? "");
    return conversation;
  };

  return {
    /** What a task with these limits is shown of what was said before it, oldest first. */
    async before(task: ClaimedTask, limits: Limits): Promise<readonly Message[]> {
      if (task.sessionVersion === 0) return task.input.history;
      const sessionKey = `${task.tenant} ${task.sessionId}`;
      const key = `${task.sessionCreatedAt} ${task.sessionVersion}`;
      let known = cached.get(sessionKey);
      if (known?.key !== key) known = remember(sessionKey, key, await exchangesBefore(store, task));
      return shownOf(known.exchanges, limits);
    },

    /** The task has completed: what it said is the end of the conversation at the next version. */
    completed(task: ClaimedTask, said: Said): void {
      const sessionKey = `${task.tenant} ${task.sessionId}`;
      const known = cached.get(sessionKey);
      const isCurrent = known?.key === `${task.sessionCreatedAt} ${task.sessionVersion}`;
      if (task.sessionVersion > 0 && !isCurrent) return;
      const exchanges = [...(isCurrent ? known.exchanges : []), toExchange(said)];
      remember(sessionKey, `${task.sessionCreatedAt} ${task.sessionVersion + 1}`, exchanges);
    },
  };
}

function toExchange(said: Said): Exchange {
  return { ...said, chars: roughSize(said.messages) };
}

/** What is read of the conversation before a task, oldest first. */
export async function exchangesBefore(
  store: Store,
  { tenant, sessionId, position }: Pick<ClaimedTask, "tenant" | "sessionId" | "position">,
): Promise<Exchange[]> {
  const page = { tenant, sessionId, before: position, limit: mostExchanges, mostBytes: mostHistoryBytes };
  const rows = await readJournals(store, page);
  return rows.map(({ input, entries }) => toExchange(saidOf(input, entries)));
}

/**
 * The messages of the newest exchanges that leave a task with these limits room to work. What a summary stands for is not
 * shown beside it.
 */
export function shownOf(read: readonly Exchange[], limits: Pick<Limits, "tokens">): readonly Message[] {
  const exchanges = read.slice(
    Math.max(
      0,
      read.findLastIndex(({ standsForAll }) => standsForAll),
    ),
  );
  const mostTokens = Math.floor(limits.tokens * historyShare);
  let tokens = 0;
  const tooMuch = exchanges.findLastIndex(({ chars }) => (tokens += tokensOf(chars)) > mostTokens);
  return exchanges.slice(Math.min(tooMuch + 1, exchanges.length - 1)).flatMap(({ messages }) => messages);
}

/** What each completed task of a session added to the conversation, as it was said, oldest first. */
export async function readExchanges(
  store: Store,
  page: Exchanges,
): Promise<{ taskId: string; position: number; messages: readonly Message[] }[]> {
  const rows = await readJournals(store, page);
  return rows.map(({ id, position, input, entries }) => {
    // Who reads it later reads all of it; only models are shown less.
    const { messages } = saidOf(
      input,
      entries.filter(({ kind }) => kind !== "compression"),
    );
    return { taskId: id, position, messages };
  });
}

async function readJournals(store: Store, page: Exchanges) {
  const rows = (await store.exchanges(page)).toReversed();
  const journals = rows.length === 0 ? new Map<string, Entry[]>() : await store.journals(rows.map(({ id }) => id));
  return rows.map((row) => ({ ...row, entries: journals.get(row.id) ?? [] }));
}

/** What one completed task added, from its journal. */
function saidOf(input: TaskInput, entries: readonly Entry[]): Said {
  return saidIn(input, entries.reduce(fold, begin(briefToRead(input.prompt))));
}
