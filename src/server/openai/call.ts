/** A call as the gateway's endpoints take it, whichever of them it came by, and what comes of it, whoever answers. */
import type { AssistantPart, Message, ToolSpec, Usage } from "../../agent/conversation.ts";
import type { JsonObject } from "../../agent/json.ts";
import type { ModelSettings } from "../../gateway/model-gateway.ts";

export interface Call {
  /** As it was asked for: `provider/model`, the name of a route, or `agent/<name>`. */
  readonly model: string;
  readonly system: string;
  readonly messages: readonly Message[];
  readonly tools: readonly ToolSpec[];
  readonly settings: ModelSettings;
  /** Null: the program sets no bound. */
  readonly maxOutputTokens: number | null;
  readonly userId: string | null;
  /** Kept with the task of an agent. */
  readonly metadata: JsonObject;
  /** Fields of the request that only a model can follow, and no agent: their names, as they were sent. */
  readonly onlyForModels: readonly string[];
  /** The answer of an agent that this goes on from. */
  readonly previousTaskId: string | null;
}

/** What comes of a call, in order; `end` is the last, and holds all of it. */
export type ReplyEvent =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "reasoning"; readonly text: string }
  /** What was said so far is void; it begins anew. */
  | { readonly type: "restart" }
  | { readonly type: "end"; readonly reply: Reply };

export interface Reply {
  readonly parts: readonly AssistantPart[];
  readonly finish: "stop" | "calls" | "length" | "content_filter";
  readonly usage: Usage;
}
