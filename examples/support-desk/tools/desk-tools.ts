import { loadCatalogue } from "../catalogue.ts";
import { openDeskStore } from "../desk-store.ts";
import { createFindOrder } from "./find-order.ts";
import { createFindPolicy } from "./find-policy.ts";
import { createListOrders } from "./list-orders.ts";
import { createRefund } from "./refund.ts";
import { createSendEmail } from "./send-email.ts";

export interface DeskOptions {
  /** The SQLite file of the outbox and the refunds. */
  readonly path: string;
  readonly refundMs: number;
}

/** The tools of the desk, and the store they write to. */
export function createDesk({ path, refundMs }: DeskOptions) {
  const catalogue = loadCatalogue();
  const store = openDeskStore(path);
  const tools = [
    createFindOrder({ catalogue, store }),
    createListOrders({ catalogue }),
    createFindPolicy({ catalogue }),
    createSendEmail({ store }),
    createRefund({ catalogue, store, processingMs: refundMs }),
  ];
  return { tools, store };
}
