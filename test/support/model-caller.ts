/** Somebody who calls a model, and what they ask: for tests that do not care who and what. */
import type { ModelRoute } from "../../src/agent/route.ts";
import type { ModelCaller, ModelRequest } from "../../src/gateway/model-gateway.ts";
import { neverAborts } from "../../src/platform/abort.ts";

export const someCaller: ModelCaller = {
  tenant: "default",
  agent: "support",
  taskId: null,
  sessionId: null,
  userId: null,
  keyId: null,
};

export function someRequest(route: ModelRoute): ModelRequest {
  return {
    route,
    system: "",
    messages: [{ role: "user", text: "Hi" }],
    tools: [],
    maxOutputTokens: 100,
    caller: someCaller,
    signal: neverAborts(),
    onDelta: () => {},
  };
}
