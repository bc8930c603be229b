import { defineTool } from "holdfast";
import { z } from "zod";
import type { DeskStore } from "../desk-store.ts";

export function createSendEmail({ store }: { store: DeskStore }) {
  return defineTool({
    name: "send_email",
    version: "1.0.0",
    description: "Send an email to a customer.",
    effect: "idempotent",
    input: z.object({
      to: z.email().describe("The email address of the customer."),
      subject: z.string().min(1).max(200).describe("The subject line."),
      body: z.string().min(1).max(5000).describe("What the email says."),
    }),
    output: z.object({ emailId: z.string() }),
    run: (email, { idempotencyKey }) => ({ emailId: `E-${store.putEmail(idempotencyKey, email)}` }),
  });
}
