/**
 * One run of a tool's code against its timeout and the caller's signal. Whichever comes first decides; a tool that
 * ignores its signal is abandoned, and what it answers or throws afterwards is dropped.
 */
import { HoldfastError } from "../platform/errors.ts";
import type { Clock } from "../platform/clock.ts";
import type { Tool } from "./define-tool.ts";
import type { CallContext } from "./tool-runner.ts";

export type Ending =
  | { readonly type: "returned"; readonly value: unknown }
  | { readonly type: "threw"; readonly thrown: unknown }
  | { readonly type: "timeout" }
  | { readonly type: "aborted" };

export interface AttemptOptions {
  readonly input: unknown;
  readonly context: CallContext;
  readonly clock: Clock;
}

/** Never rejects. The caller's signal must not be aborted yet. */
export function attempt(tool: Tool, { input, context, clock }: AttemptOptions): Promise<Ending> {
  return new Promise((resolve) => {
    const controller = new AbortController();
    const cancelTimer = clock.timer(tool.timeoutMs, () => {
      end({ type: "timeout" });
      controller.abort(new HoldfastError("tool_timeout", `${tool.name} did not answer within ${tool.timeoutMs} ms.`));
    });
    context.signal.addEventListener("abort", onAbort, { once: true });
    const { idempotencyKey, taskId, sessionId, tenant, agent, userId } = context;
    const toolContext = { idempotencyKey, taskId, sessionId, tenant, agent, userId, signal: controller.signal };
    // The async function turns a synchronous throw into a rejection, and awaits any thenable.
    const running = (async () => tool.run(input, toolContext))();
    running.then(
      (value) => end({ type: "returned", value }),
      (thrown: unknown) => end({ type: "threw", thrown }),
    );

    function onAbort(): void {
      end({ type: "aborted" });
      controller.abort(context.signal.reason);
    }

    function end(ending: Ending): void {
      cancelTimer();
      context.signal.removeEventListener("abort", onAbort);
      resolve(ending);
    }
  });
}
