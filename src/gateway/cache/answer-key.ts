/**
 * What makes two calls equal: all that the answer could depend on, and for whom it is.
 *
 * Left out is what only says how the answer is got (time limits, hedging), and how long it may be: an answer that came to its
 * own end within a limit is the answer under every limit it fits into. That matters, since what is left of a task's budget
 * is another number at every turn.
 *
 * Of programs that call the gateway themselves each virtual key has its own answers: what a key may do, and what it may know
 * of what others ask, is its owner's business.
 */
import { createHash } from "node:crypto";
import { canonicalJson, type Json } from "../../agent/json.ts";
import type { ModelRequest } from "../model-gateway.ts";

/** Part of every key: answers that an earlier release kept under other rules are not found. */
const rules = 2;

type AskedFor = Pick<ModelRequest, "route" | "system" | "messages" | "tools" | "settings" | "caller">;

/** SHA-256 in hex. */
export function answerKey({ route, system, messages, tools, settings = {}, caller }: AskedFor): string {
  const candidates = route.candidates.map(({ model, rank, weight, when }) => ({ model, rank, weight, when }));
  const asked = {
    rules,
    tenant: caller.tenant,
    key: caller.keyId,
    route: { strategy: route.strategy, judge: route.judge ?? null, candidates },
    system,
    messages,
    tools,
    settings,
  };
  return createHash("sha256")
    .update(canonicalJson(asked as unknown as Json))
    .digest("hex");
}
