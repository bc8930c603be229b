/** The clients of the chaos run tell of what no fault explains. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Client } from "../../src/client/index.ts";
import { HoldfastError } from "../../src/platform/errors.ts";
import { createVirtualClock } from "../../src/testing/virtual-clock.ts";
import { startClients } from "./clients.ts";

test("an answer that no fault explains ends the run at once", async () => {
  const refused = new HoldfastError("invalid_request", "That is no task.", { retry: "never" });
  const client = { submit: () => Promise.reject(refused) } as unknown as Client;
  const clients = startClients({ client, clock: createVirtualClock(), random: () => 0 });
  await assert.rejects(clients.failed, refused);
  await assert.rejects(clients.finish(1_000), refused);
});
