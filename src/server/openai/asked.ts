/** Who asks what, and what they are given. */
import type { AnswerCaching, CacheOutcome } from "../../gateway/model-gateway.ts";
import type { Call, ReplyEvent } from "./call.ts";
import type { Caller } from "./caller.ts";

export interface Asked {
  readonly call: Call;
  readonly caller: Caller;
  /** It is answered when the answer is whole: nobody reads along. */
  readonly whole: boolean;
  /** Aborts when the client has gone. */
  readonly gone: AbortSignal;
  /** A repeat with the same key is answered by the same task, where a task answers. */
  readonly idempotencyKey: string | undefined;
  /** Null: the answer is asked for anew. An agent has its own rule. */
  readonly caching: AnswerCaching | null;
}

export interface Answer {
  /** Of a task, if one answers. */
  readonly id: string;
  /** Ends with `end`, or throws. Whoever leaves it ends the call. */
  readonly events: AsyncIterable<ReplyEvent>;
  /** Whether it was given again, as soon as that is known; null before, and where that was not allowed. */
  readonly cacheOutcome?: () => CacheOutcome | null;
}
