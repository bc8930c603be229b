import { setTimeout as pause } from "node:timers/promises";
import { defineTool } from "holdfast";
import { z } from "zod";
import type { Catalogue } from "../catalogue.ts";
import type { DeskStore } from "../desk-store.ts";
import { orderId } from "./find-order.ts";

const approvalAboveUsd = 50;

export interface RefundOptions {
  readonly catalogue: Catalogue;
  readonly store: DeskStore;
  /** How long the pretend payment provider takes: half of it before it books the refund, half before it answers. */
  readonly processingMs: number;
}

export function createRefund({ catalogue, store, processingMs }: RefundOptions) {
  return defineTool({
    name: "refund",
    version: "1.0.0",
    description: "Refund an order, or a part of its price, to the card that paid for it.",
    effect: "once",
    input: z.object({
      orderId,
      amountUsd: z.number().positive().multipleOf(0.01).describe("How much to refund, in US dollars."),
      reason: z.string().max(500).optional().describe("Why it is refunded."),
    }),
    output: z.object({ refundId: z.string(), leftToRefundUsd: z.number() }),
    approval: ({ amountUsd }) => amountUsd > approvalAboveUsd,
    run: async ({ orderId: id, amountUsd, reason = "" }, { idempotencyKey, signal }) => {
      const order = catalogue.order(id);
      const cents = Math.round(amountUsd * 100);
      const chargedCents = order.status === "cancelled" ? 0 : Math.round(order.totalUsd * 100);
      if (store.refundNumber(idempotencyKey) === null) {
        await pause(processingMs / 2, undefined, { signal });
        const booked = store.bookRefund(idempotencyKey, { orderId: id, cents, reason, maxCents: chargedCents });
        const left = Math.max(0, chargedCents - store.refundedCents(id));
        if (booked === null) throw new Error(`Order ${id} has only $${(left / 100).toFixed(2)} left to refund.`);
        // The money is on its way: from here on an abort must not look as if nothing had happened.
        await pause(processingMs / 2);
      }
      return {
        refundId: `R-${store.refundNumber(idempotencyKey)}`,
        leftToRefundUsd: Math.max(0, chargedCents - store.refundedCents(id)) / 100,
      };
    },
  });
}
