/**
 * Some programs send what a model said before not again but as a reference to the item (the AI SDK does, unless it is told
 * `store: false`). So the text of messages is kept for a while. Reasoning is not: what a provider wants back of it travels
 * with the ids of calls.
 */
import { messageOf } from "../../platform/errors.ts";
import type { ServerDeps } from "../http/server-deps.ts";
import { wrong } from "./refusals.ts";
import type { ResponseBody } from "./request-schemas.ts";
import type { Keep } from "./response-reply.ts";

const referenceType = "item_reference";

export function keeper({ service }: ServerDeps, tenant: string, { store = true }: ResponseBody): Keep {
  return async (messages) => {
    if (!store || messages.length === 0) return;
    await service.store.keepTexts(messages.map((message) => ({ ...message, tenant }))).catch((error: unknown) => {
      // The answer is there all the same; a reference to it will be refused with what to do.
      service.log.warn({ error: messageOf(error) }, "the text of a response is not kept");
    });
  };
}

/** @throws InvalidInputError for a reference to what is not kept */
export async function resolveReferences(
  { service }: ServerDeps,
  tenant: string,
  body: ResponseBody,
): Promise<ResponseBody> {
  if (typeof body.input === "string") return body;
  const ids = body.input.flatMap((item) => (item.type === referenceType ? [String(item["id"])] : []));
  if (ids.length === 0) return body;
  const texts = await service.store.keptTexts({ tenant, ids });
  const input = body.input.flatMap((item, index) => {
    if (item.type !== referenceType) return [item];
    const id = String(item["id"]);
    if (id.startsWith("rs_")) return [];
    const text = texts.get(id);
    if (text !== undefined) return [{ type: "message", role: "assistant", content: text }];
    const message = "This item is not kept here, or not any more. Send it whole, as with store: false.";
    throw wrong(`/input/${index}/id`, message);
  });
  return { ...body, input };
}
