import { defineTool } from "holdfast";
import { z } from "zod";
import { orderStatus, type Catalogue } from "../catalogue.ts";

export function createListOrders({ catalogue }: { catalogue: Catalogue }) {
  return defineTool({
    name: "list_orders",
    version: "1.0.0",
    description: "List the orders of a customer, newest first, by the customer's email address.",
    effect: "read",
    input: z.object({
      email: z.email().describe("The email address of the customer."),
      status: orderStatus.optional().describe("Only orders with this status."),
      limit: z.int().min(1).max(50).default(10).describe("At most so many."),
    }),
    output: z.object({
      orders: z.array(
        z.object({
          id: z.string(),
          orderedOn: z.string(),
          status: orderStatus,
          totalUsd: z.number(),
          items: z.string(),
        }),
      ),
    }),
    run: ({ email, status, limit }) => {
      const fitting = catalogue.ordersOf(email).filter((order) => status === undefined || order.status === status);
      const orders = fitting.slice(0, limit).map((order) => ({
        id: order.id,
        orderedOn: order.orderedOn,
        status: order.status,
        totalUsd: order.totalUsd,
        items: order.items.map(({ quantity, name }) => (quantity === 1 ? name : `${quantity} × ${name}`)).join(", "),
      }));
      return { orders };
    },
  });
}
