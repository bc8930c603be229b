import assert from "node:assert/strict";
import { test } from "node:test";
import type { Store } from "../store/store.ts";
import { silentLogger } from "../telemetry/log.ts";
import { createVirtualClock } from "../testing/virtual-clock.ts";
import { readFeeds } from "./feed-reader.ts";
import { Feeds } from "./feeds.ts";
import { Hub } from "./hub.ts";

test("text that a reader lacks is asked for again when the store could not be read", async () => {
  const clock = createVirtualClock();
  const feeds = new Feeds(new Hub());
  const turn = { afterSeq: 0, epoch: 1, attempt: 1 };
  let reads = 0;
  const store = {
    taskNews: async () => {
      reads += 1;
      if (reads === 1) throw new Error("The connection was lost.");
      return { entries: [], lastSeq: 0, ended: undefined, partial: { turn, text: "It was ship" } };
    },
  } as unknown as Store;
  const stop = readFeeds({ feeds, store, clock, log: silentLogger, pollMs: 60_000, runsHere: () => false });
  const { feed, close } = feeds.open(
    { tenant: "acme", taskId: "a task" },
    {
      interest: "events",
      onNews: () => {
        if (feed.live?.textFrom(0) === undefined) feeds.lacksText(feed);
      },
    },
  );
  feed.addPiece({ turn, type: "text", at: 7, text: "ship" });
  await clock.advance(1_000);
  assert.equal(feed.live?.textFrom(0), "It was ship");
  assert.equal(reads, 2);
  close();
  await stop();
});
