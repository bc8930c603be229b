/** What a call came to, written down: in the ledger and with the key it is charged to. */
import type { Charge } from "../../agent/charges.ts";
import { sumKnown } from "../../gateway/cost.ts";
import type { CallCost, Reservation } from "../../governance/virtual-keys.ts";
import { neverAborts } from "../../platform/abort.ts";
import { messageOf } from "../../platform/errors.ts";
import type { UsageRow } from "../../store/queries/usage.ts";
import { insist } from "../../store/insist.ts";
import type { ServerDeps } from "../http/server-deps.ts";

export interface Account extends CallCost {
  readonly rows: readonly UsageRow[];
  readonly reservation: Reservation;
}

/** The cost is null where that of any of them is not known. */
export function totalOf(charges: readonly Charge[]): CallCost {
  const tokens = charges.reduce((sum, { usage }) => sum + usage.input + usage.output, 0);
  return { micros: sumKnown(charges.map(({ costMicros }) => costMicros)), tokens };
}

/** The end of the answer waits for it. */
const insistMs = 2_000;

/** Never rejects. The answer has been given or is about to be: that an account cannot be written is said in the log. */
export async function writeAccount(
  { service: { models, log }, clock }: ServerDeps,
  { rows, reservation, micros, tokens }: Account,
): Promise<void> {
  const signal = neverAborts();
  const results = await Promise.allSettled([
    rows.length === 0 ? undefined : insist(() => models.recordUsage(rows), { clock, forMs: insistMs, signal }),
    reservation.settle({ micros, tokens }),
  ]);
  for (const result of results) {
    if (result.status === "rejected") log.error({ error: messageOf(result.reason) }, "a call is not accounted for");
  }
}
