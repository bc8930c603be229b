/** One call, from whoever makes it to whoever answers it. */
import type { ServerDeps } from "../http/server-deps.ts";
import { askAgent } from "./agent-answer.ts";
import type { Answer, Asked } from "./asked.ts";
import { requireAllowed } from "./caller.ts";
import { askModel } from "./model-answer.ts";
import { targetOf } from "./targets.ts";

/** @throws before the answer begins: what is wrong with the call, or why its caller may not make it */
export async function answer(deps: ServerDeps, asked: Asked): Promise<Answer> {
  requireAllowed(asked.caller, asked.call.model);
  const target = targetOf(deps.service, asked.call.model);
  if (target.type === "agent") return askAgent(deps, asked, target.agent);
  return askModel(deps, asked, target.route);
}
