import { defineTool } from "holdfast";
import { z } from "zod";
import { orderItem, orderStatus, type Catalogue } from "../catalogue.ts";
import type { DeskStore } from "../desk-store.ts";

export const orderId = z
  .string()
  .regex(/^A-\d{4}$/)
  .describe("The id of the order, like A-1042.");

export function createFindOrder({ catalogue, store }: { catalogue: Catalogue; store: DeskStore }) {
  return defineTool({
    name: "find_order",
    version: "1.0.0",
    description:
      "Look up one order by its id: its status, items, delivery and tracking, its customer, and what can still be refunded.",
    effect: "read",
    input: z.object({ orderId }),
    output: z.object({
      id: z.string(),
      status: orderStatus,
      orderedOn: z.string(),
      customer: z.object({ name: z.string(), email: z.string() }),
      items: z.array(orderItem),
      totalUsd: z.number(),
      refundedUsd: z.number(),
      refundableUsd: z.number(),
      carrier: z.string().nullable(),
      trackingCode: z.string().nullable(),
      expectedOn: z.string().nullable(),
      deliveredOn: z.string().nullable(),
    }),
    run: (input) => {
      const { customerId, shippingUsd: _, ...order } = catalogue.order(input.orderId);
      const { name, email } = catalogue.customer(customerId);
      const refundedCents = store.refundedCents(order.id);
      const chargedCents = order.status === "cancelled" ? 0 : Math.round(order.totalUsd * 100);
      return {
        ...order,
        customer: { name, email },
        refundedUsd: refundedCents / 100,
        refundableUsd: Math.max(0, chargedCents - refundedCents) / 100,
      };
    },
  });
}
