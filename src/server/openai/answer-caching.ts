/**
 * Answers that may be given again to programs: only to one that asks for it, call by call, since only its author knows whether
 * the same words are to have the same answer.
 */
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import type { AnswerCaching, CacheOutcome } from "../../gateway/model-gateway.ts";
import type { Answer } from "./asked.ts";
import type { Call } from "./call.ts";

const ttlHeader = "x-holdfast-cache-ttl";
const toolsHeader = "x-holdfast-cache-tools";
const outcomeHeader = "x-holdfast-cache";
const longestTtlSeconds = 2_592_000;

/** The texts of headers are numbers after their check. */
export const cachingHeaders = z.object({
  [ttlHeader]: z.coerce
    .number()
    .int()
    .min(1)
    .max(longestTtlSeconds)
    .optional()
    .describe("The answer to an equal call may be given again, if it is no older than so many seconds."),
  [toolsHeader]: z
    .enum(["on", "off"])
    .optional()
    .describe("`on`: also where the call offers tools, whose calls are then asked for again. Default `off`."),
});

/** @returns null: this call is for a model alone to answer */
export function cachingOf({ headers }: FastifyRequest, { tools }: Call): AnswerCaching | null {
  const seconds = headers[ttlHeader];
  if (seconds === undefined || (tools.length > 0 && headers[toolsHeader] !== "on")) return null;
  return { ttlMs: Number(seconds) * 1_000, staleMs: 0, mayRepeat: () => true };
}

/** Says what became of it. Nothing, where it is not known before the answer begins, or the cache was not asked. */
export function cachingAnswer({ cacheOutcome }: Answer): Record<string, CacheOutcome> {
  const outcome = cacheOutcome?.() ?? null;
  return outcome === null ? {} : { [outcomeHeader]: outcome };
}
