/**
 * Carries hints between processes over Postgres NOTIFY. They are sent after what they speak of has committed, many in one
 * statement, on nobody's critical path; a lost one costs latency and nothing else.
 */
import { createBackground } from "../platform/background.ts";
import { messageOf } from "../platform/errors.ts";
import { isObject } from "../agent/json.ts";
import type { Database } from "../store/database.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Hint, Hub } from "./hub.ts";

const channel = "holdfast";
/** More hints than this wait for the database: the rest are dropped. */
const mostWaiting = 10_000;

/** @param deps.process names this process, so that it does not hear its own hints @returns a function that stops it */
export async function carryHints(deps: {
  hub: Hub;
  database: Database;
  log: Logger;
  process: string;
}): Promise<() => Promise<void>> {
  const { hub, database, log, process } = deps;
  const background = createBackground((_name, error) => log.warn({ error: messageOf(error) }, "cannot send hints"));
  const waiting = new Set<string>();
  let sending = false;

  const send = async (): Promise<void> => {
    try {
      while (waiting.size > 0) {
        const payloads = [...waiting];
        waiting.clear();
        await database.query({
          name: "notify",
          text: "select pg_notify($1, payload) from unnest($2::text[]) payload",
          values: [channel, payloads],
        });
      }
    } finally {
      sending = false;
    }
  };

  const stopHearing = hub.onHint((hint, origin) => {
    if (origin === "elsewhere" || waiting.size >= mostWaiting) return;
    waiting.add(JSON.stringify({ ...hint, process }));
    if (sending) return;
    sending = true;
    background.start("hints", send);
  });
  const stopListening = await database.listen(channel, (payload) => {
    const hint = parseHint(payload, process);
    if (hint !== undefined) hub.hint(hint, "elsewhere");
  });
  return async () => {
    stopHearing();
    await stopListening();
    await background.settled();
  };
}

function parseHint(payload: string, ownProcess: string): Hint | undefined {
  const value: unknown = JSON.parse(payload);
  if (!isObject(value) || value["process"] === ownProcess) return undefined;
  const { type, taskId, by } = value;
  if (type === "work") return { type };
  if (type === "changed" && typeof taskId === "string") return { type, taskId };
  if (type === "cancel" && typeof taskId === "string" && typeof by === "string") return { type, taskId, by };
  return undefined;
}
