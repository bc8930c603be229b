/** What processes share of the limits of model providers. */
import { assert } from "../platform/errors.ts";
import type { Database } from "./database.ts";
import {
  askGateStatements,
  lookAtGateStatement,
  type GateAnswer,
  type GateAsk,
  type GateLook,
} from "./queries/gate.ts";

export function createGates(database: Database) {
  return {
    askGate: async (ask: GateAsk): Promise<GateAnswer> => {
      const [answer] = (await database.batch(askGateStatements(ask))).at(-1) ?? [];
      assert(answer !== undefined, "A gate always answers a row.");
      return answer as unknown as GateAnswer;
    },
    lookAtGate: async (gate: string): Promise<GateLook> => {
      const [look] = await database.query<GateLook>(lookAtGateStatement(gate));
      assert(look !== undefined, "To look at a gate always answers a row.");
      return look;
    },
  };
}
