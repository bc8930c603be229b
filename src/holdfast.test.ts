import assert from "node:assert/strict";
import { after, test } from "node:test";
import { migratedSnapshot } from "../test/support/databases.ts";
import { borrowed, startHoldfast } from "../test/support/running-holdfast.ts";
import { sql } from "../test/support/stored-tasks.ts";
import type { Database } from "./store/database.ts";
import { openPglite } from "./store/pglite.ts";

const embedded = await openPglite({ dataDir: "memory", snapshot: await migratedSnapshot() });
after(() => embedded.close());

const startWith = (listen: Database["listen"]) => {
  let isClosed = false;
  const close = () => Promise.resolve(void (isClosed = true));
  const database: Database = { ...borrowed(embedded), kind: "server", listen, close };
  return {
    holdfast: startHoldfast(embedded, { script: [], options: { parts: { database } } }),
    isClosed: () => isClosed,
  };
};

test("what cannot start leaves nothing behind that works, and closes its database", async () => {
  const { holdfast, isClosed } = startWith(() => Promise.reject(new Error("It cannot listen.")));
  await assert.rejects(holdfast, /It cannot listen/);
  assert.ok(isClosed());
  assert.deepEqual(await embedded.query(sql("select id from worker")), []);
});

test("one part that cannot be stopped keeps no other from it", async () => {
  const { holdfast, isClosed } = startWith(() => Promise.resolve(() => Promise.reject(new Error("It goes on."))));
  await assert.rejects((await holdfast).stop());
  assert.ok(isClosed());
});
