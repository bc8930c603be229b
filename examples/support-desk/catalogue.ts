/** The shop's orders, customers and policies, read once from data/. */
import { readFileSync } from "node:fs";
import { z } from "zod";

export const orderStatus = z.enum(["processing", "shipped", "delivered", "cancelled"]);
export const orderItem = z.object({
  sku: z.string(),
  name: z.string(),
  quantity: z.int().positive(),
  priceUsd: z.number().positive(),
});
const order = z.object({
  id: z.string(),
  customerId: z.string(),
  orderedOn: z.iso.date(),
  status: orderStatus,
  items: z.array(orderItem),
  shippingUsd: z.number(),
  totalUsd: z.number(),
  carrier: z.string().nullable(),
  trackingCode: z.string().nullable(),
  expectedOn: z.iso.date().nullable(),
  deliveredOn: z.iso.date().nullable(),
});
const customer = z.object({
  id: z.string(),
  name: z.string(),
  email: z.email(),
  city: z.string(),
  country: z.string(),
});
export const policy = z.object({ id: z.string(), title: z.string(), text: z.string() });

export type Order = z.infer<typeof order>;
export type Customer = z.infer<typeof customer>;
export type Policy = z.infer<typeof policy>;

export interface Catalogue {
  /** @throws Error if there is no such order */
  order(id: string): Order;
  customer(id: string): Customer;
  /** Newest first. @throws Error if nobody has this address */
  ordersOf(email: string): Order[];
  policies: readonly Policy[];
}

export function loadCatalogue(): Catalogue {
  const orders = new Map(read("orders", order).map((each) => [each.id, each]));
  const customers = read("customers", customer);
  return {
    policies: read("policies", policy),
    order(id) {
      const found = orders.get(id);
      if (found === undefined) throw new Error(`There is no order ${id}.`);
      return found;
    },
    customer(id) {
      const found = customers.find((each) => each.id === id);
      if (found === undefined) throw new Error(`There is no customer ${id}.`);
      return found;
    },
    ordersOf(email) {
      const owner = customers.find((each) => each.email === email.toLowerCase());
      if (owner === undefined) throw new Error(`No customer has the email address ${email}.`);
      return [...orders.values()].filter((each) => each.customerId === owner.id).toReversed();
    },
  };
}

function read<Row extends z.ZodType>(name: string, row: Row): z.infer<Row>[] {
  return z.array(row).parse(JSON.parse(readFileSync(new URL(`data/${name}.json`, import.meta.url), "utf8")));
}
