import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "../telemetry/log.ts";
import { createVirtualClock } from "../testing/virtual-clock.ts";
import type { Carrier } from "./carrier.ts";
import { carryNews } from "./courier.ts";
import { Feeds } from "./feeds.ts";
import { Hub } from "./hub.ts";
import { unpackWatches } from "./watch-messages.ts";

test("who watches a task no more says so, also if it was about to repeat that it does", async () => {
  const [clock, hub] = [createVirtualClock(), new Hub()];
  const feeds = new Feeds(hub);
  const said: string[] = [];
  let sending = Promise.resolve();
  const carrier: Carrier = {
    send: (messages) => {
      said.push(...messages.map(({ payload }) => payload));
      return sending;
    },
    listen: async () => async () => {},
  };
  const metrics = { deltaDropped: () => {} };
  const deps = { hub, feeds, carrier, clock, log: silentLogger, metrics, process: "a", runsHere: () => false };
  const stop = await carryNews(deps);
  await clock.advance(0);
  const slow = Promise.withResolvers<void>();
  sending = slow.promise;
  const { close } = feeds.open({ tenant: "acme", taskId: "a task" }, { interest: "end", onNews: () => {} });
  await clock.advance(10_000);
  close();
  slow.resolve();
  await clock.advance(0);
  const [, watch, leave, ...more] = said.map((payload) => unpackWatches(payload, "b"));
  assert.deepEqual([watch?.watch, leave?.leave, more], [{ "a task": "end" }, ["a task"], []]);
  await stop();
});
