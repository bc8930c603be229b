/** That the database is away is told once, by the store; everything that fails meanwhile is no news. */
import { HoldfastError, messageOf } from "../platform/errors.ts";
import type { Logger } from "./log.ts";

export function logStoreTrouble(log: Logger, error: unknown, message: string): void {
  const isKnown = error instanceof HoldfastError && error.code === "store_unavailable";
  log[isKnown ? "debug" : "warn"]({ error: messageOf(error) }, message);
}
