/** Conversations as the outside sees them. */
import { ConflictError, NotFoundError } from "../platform/errors.ts";
import type { SessionRow } from "../store/reads.ts";
import type { Store } from "../store/store.ts";
import { readExchanges } from "./conversations.ts";

export function createSessions(store: Store) {
  return {
    /** @throws NotFoundError `session_not_found` */
    async session(tenant: string, id: string): Promise<SessionRow> {
      const row = await store.session(tenant, id);
      if (row === undefined) throw notFound(id);
      return row;
    },

    /** A page of a conversation, by completed tasks: the last `limit` before a position, oldest first. */
    exchanges: (page: { tenant: string; sessionId: string; before: number | null; limit: number }) =>
      readExchanges(store, page),

    /** @throws NotFoundError `session_not_found`; ConflictError `session_busy` */
    async deleteSession(tenant: string, id: string): Promise<void> {
      const deleted = await store.deleteSession(tenant, id);
      if (deleted === undefined) throw notFound(id);
      if (deleted) return;
      throw new ConflictError("session_busy", `Session ${JSON.stringify(id)} has an open task; cancel it first.`);
    },
  };
}

function notFound(id: string): NotFoundError {
  return new NotFoundError("session_not_found", `There is no session ${JSON.stringify(id)}.`);
}
