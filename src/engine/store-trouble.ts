/** That the database is away is told once, by the store; everything that fails meanwhile is no news. */
import { messageOf } from "../platform/errors.ts";
import { isUnavailable } from "../store/store-error.ts";
import type { Logger } from "../telemetry/log.ts";

export function logStoreTrouble(log: Logger, error: unknown, message: string): void {
  log[isUnavailable(error) ? "debug" : "warn"]({ error: messageOf(error) }, message);
}
