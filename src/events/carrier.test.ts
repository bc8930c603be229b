/** One contract for everything that carries hints between processes, and two processes that wake each other over each. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { testDatabases } from "../../test/support/databases.ts";
import { noRedis, testRedis } from "../../test/support/redis.ts";
import { startHoldfast, until } from "../../test/support/running-holdfast.ts";
import { readSettings } from "../platform/settings.ts";
import type { Database } from "../store/database.ts";
import { silentLogger } from "../telemetry/log.ts";
import { notifyCarrier, redisCarrier, type Carrier } from "./carrier.ts";
import { carryHints } from "./hints.ts";
import { Hub, type Hint } from "./hub.ts";
import { openRedis, type Redis } from "./redis.ts";

const server = (await testDatabases()).find(({ name }) => name === "PostgreSQL");
const withoutRedis = await noRedis();
const { url, prefix, clear } = testRedis();

interface Case {
  readonly name: string;
  readonly skip: string | false;
  readonly environment: Record<string, string>;
  readonly open: (parts: { database: Database; redis: Redis | undefined }) => Carrier;
}

const cases: Case[] = [
  { name: "NOTIFY", skip: false, environment: {}, open: ({ database }) => notifyCarrier(database) },
  {
    name: "Redis",
    skip: withoutRedis,
    environment: { REDIS_URL: url, REDIS_PREFIX: prefix },
    open: ({ redis }) => redisCarrier(redis!, prefix),
  },
];

for (const { name, skip, environment, open } of cases) {
  const left = server === undefined ? "PostgreSQL not reachable" : skip;
  describe(`Hints over ${name}`, { skip: left }, () => {
    let database: Database;
    let redis: Redis | undefined;
    before(async () => {
      database = await server!.open();
      redis = skip === false && "REDIS_URL" in environment ? await openRedis({ url, log: silentLogger }) : undefined;
    });
    after(async () => {
      if (redis !== undefined) await clear();
      await redis?.close();
      await database.close();
    });

    test("reach every other process, and not the one that gave them", async () => {
      const carrier = open({ database, redis });
      const [one, two] = [new Hub(), new Hub()];
      const heard: { by: string; hint: Hint }[] = [];
      one.onHint((hint, origin) => origin === "elsewhere" && heard.push({ by: "one", hint }));
      two.onHint((hint, origin) => origin === "elsewhere" && heard.push({ by: "two", hint }));
      const stops = [
        await carryHints({ hub: one, carrier, log: silentLogger, process: "one" }),
        await carryHints({ hub: two, carrier, log: silentLogger, process: "two" }),
      ];
      // A subscription to Redis is confirmed when the first hint is heard.
      await until(async () => {
        two.hint({ type: "work" });
        return heard.length > 0;
      });
      heard.length = 0;
      const many = Array.from({ length: 50 }, (_, index): Hint => ({
        type: "cancel",
        taskId: `task-${index}`,
        by: "ben",
      }));
      for (const hint of [...many, { type: "cancel", taskId: "last", by: "ana" } as const]) one.hint(hint);
      await until(() => heard.some(({ hint }) => hint.type === "cancel" && hint.taskId === "last"));
      const others = heard.filter(({ hint }) => hint.type !== "work");
      assert.deepEqual([...new Set(others.map(({ by }) => by))], ["two"]);
      assert.equal(others.length, 51);
      for (const stop of stops) await stop();
    });

    test("wake a worker in another process long before it would have asked", async () => {
      const options = { settings: readSettings(environment), tuning: { pollMs: 600_000 } };
      const worker = await startHoldfast(database, { script: [{ text: "Done." }], options });
      const api = await startHoldfast(database, {
        script: [],
        agent: { name: worker.agent },
        options: { ...options, roles: ["api"] },
      });
      try {
        if (redis !== undefined) await haveSubscribed(redis, 2);
        const task = await api.submit({ prompt: "Wake up." });
        const { status, output } = await task.result();
        assert.deepEqual([status, output], ["completed", "Done."]);
      } finally {
        await api.stop();
        await worker.stop();
      }
    });
  });
}

async function haveSubscribed(redis: Redis, processes: number): Promise<void> {
  const link = redis.connect("test");
  try {
    await until(async () => {
      const [, subscribers] = await link.client.pubsub("NUMSUB", `${prefix}:holdfast`);
      return Number(subscribers) === processes;
    });
  } finally {
    link.end();
  }
}
