/** What a call came to, written down: in the ledger and with the key it is charged to. */
import type { CallCost, Reservation } from "../../governance/virtual-keys.ts";
import { messageOf } from "../../platform/errors.ts";
import type { UsageRow } from "../../store/queries/usage.ts";
import type { Service } from "../http/server-deps.ts";

export interface Account extends CallCost {
  readonly rows: readonly UsageRow[];
  readonly reservation: Reservation;
}

/** Never rejects. The answer has been given or is about to be: that an account cannot be written is said in the log. */
export async function writeAccount(
  { models, log }: Service,
  { rows, reservation, micros, tokens }: Account,
): Promise<void> {
  const results = await Promise.allSettled([
    rows.length === 0 ? undefined : models.recordUsage(rows),
    reservation.settle({ micros, tokens }),
  ]);
  for (const result of results) {
    if (result.status === "rejected") log.error({ error: messageOf(result.reason) }, "a call is not accounted for");
  }
}
