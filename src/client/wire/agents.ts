/** What runs here. */
import type { JsonObject } from "../../agent/json.ts";

export interface Agent {
  name: string;
  version: string;
  description: string;
  /** The candidates in the order they are tried. */
  model: string[];
  /** References to tools, `name` or `name@range`. */
  tools: string[];
  limits: {
    max_steps: number;
    tokens: number;
    cost_usd: number | null;
    deadline_ms: number | null;
    on_limit: "stop" | "ask";
  };
}

export interface AgentDetail extends Omit<Agent, "tools"> {
  instructions: string;
  tools: {
    name: string;
    version: string;
    description: string;
    effect: "read" | "idempotent" | "once";
    /** JSON Schema 2020-12. */
    parameters: JsonObject;
    returns: JsonObject | null;
  }[];
}
