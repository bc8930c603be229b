/** Whether the other end of a connection on which nothing runs is still there, and still what it was. */
import type { Client } from "pg";
import type { Background } from "../platform/background.ts";
import type { Clock } from "../platform/clock.ts";

const askEveryMs = 5_000;
const answerWithinMs = 5_000;

/** Asks again and again, and cuts a connection that does not answer in time. @returns a function that ends it */
export function askForSigns(
  client: Client,
  { clock, background }: { clock: Clock; background: Background },
): () => void {
  let stopTimer: () => void;
  const askLater = (): void => {
    stopTimer = clock.timer(askEveryMs, () => background.start("a sign of life", ask));
  };
  const ask = async (): Promise<void> => {
    stopTimer = clock.timer(answerWithinMs, () => cut(client, `no sign of life within ${answerWithinMs} ms`));
    const { rows } = await client.query<{ standby: boolean }>("select pg_is_in_recovery() as standby");
    stopTimer();
    if (rows[0]?.standby) cut(client, "the server has become a standby");
    else askLater();
  };
  askLater();
  return () => stopTimer();
}

/** Drops a connection without waiting for the other end, which may be gone. */
export function cut(client: Pick<Client, "connection">, reason: string): void {
  client.connection.stream.destroy(Object.assign(new Error(reason), { code: "ETIMEDOUT" }));
}
