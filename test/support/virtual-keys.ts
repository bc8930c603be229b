/** Virtual keys for tests. */
import type { KeyTerms } from "../../src/store/queries/virtual-keys.ts";

/** A key that may do anything, for ever. */
export const freeKey: KeyTerms = {
  tenant: "default",
  name: "test",
  models: [],
  dayBudget: null,
  monthBudget: null,
  totalBudget: null,
  requestsPerMinute: null,
  tokensPerMinute: null,
  expiresAt: null,
};
