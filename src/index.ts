/** Holdfast as a library: define agents and tools, and run them in this process or through the `holdfast` command. */
export { defineAgent, type AgentDefinition, type AgentOptions, type Limits } from "./agent/definition.ts";
export type { AssistantPart, Delta, Message, ToolOutcome, Usage } from "./agent/conversation.ts";
export type { Answer, Entry } from "./agent/journal.ts";
export type { CandidateOptions, ModelRoute, RouteOptions } from "./agent/route.ts";
export type { Json, JsonObject } from "./agent/json.ts";
export { defineConfig, type HoldfastConfig } from "./config.ts";
export type { AgentResult } from "./engine/agent-result.ts";
export type { TaskRequest, WhileBusy } from "./engine/task-request.ts";
export type { TaskEvent } from "./engine/watch.ts";
export type { ModelFacts } from "./gateway/cost.ts";
export type { ModelLimits } from "./gateway/gate/model-limits.ts";
export type { GatewayOptions } from "./gateway/options.ts";
export type { DrillOptions, DrillWindow } from "./gateway/experiments/drill-plan.ts";
export type { ExperimentOptions } from "./gateway/experiments/experiments.ts";
export type { FaultOptions } from "./gateway/experiments/fault-rules.ts";
export { createHoldfast, type Holdfast, type HoldfastOptions, type TaskHandle } from "./holdfast.ts";
export {
  ConflictError,
  HoldfastError,
  InvalidInputError,
  NotFoundError,
  UnavailableError,
  type Retry,
} from "./platform/errors.ts";
export {
  defineTool,
  UncertainOutcomeError,
  type Tool,
  type ToolContext,
  type ToolOptions,
} from "./tools/define-tool.ts";
