import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createRedisServer, noRedis, noRedisServer, testRedis } from "../../test/support/redis.ts";
import { until } from "../../test/support/running-holdfast.ts";
import { silentLogger, type Logger } from "../telemetry/log.ts";
import { openRedis } from "./redis.ts";

function recordingLog(): { log: Logger; lines: string[] } {
  const lines: string[] = [];
  const record =
    (level: string) =>
    (...args: unknown[]) =>
      void lines.push(`${level}: ${String(args.at(-1))}`);
  return { log: { ...silentLogger, warn: record("warn"), info: record("info") } as Logger, lines };
}

describe("Channels of Redis", { skip: await noRedis() }, () => {
  test("bring what is published to every subscriber, in order, until it ends", async () => {
    const { url, prefix } = testRedis();
    const [speaker, hearer] = [
      await openRedis({ url, log: silentLogger }),
      await openRedis({ url, log: silentLogger }),
    ];
    try {
      const heard: string[] = [];
      const first = hearer.subscribe(`${prefix}:a`, (message) => heard.push(`first ${message}`));
      const second = hearer.subscribe(`${prefix}:a`, (message) => heard.push(`second ${message}`));
      const other = hearer.subscribe(`${prefix}:b`, (message) => heard.push(`other ${message}`));
      await Promise.all([first.confirmed, second.confirmed, other.confirmed]);
      await until(async () => {
        await speaker.publish(`${prefix}:b`, ["hello"]);
        return heard.length > 0;
      });
      const heardOfA = (): string[] => heard.filter((line) => !line.startsWith("other"));
      await speaker.publish(`${prefix}:a`, ["1", "2"]);
      await until(() => heardOfA().length === 4);
      assert.deepEqual(heardOfA(), ["first 1", "second 1", "first 2", "second 2"]);

      first.end();
      second.end();
      // Whoever comes right after the last one left is not deafened by its leaving.
      const third = hearer.subscribe(`${prefix}:a`, (message) => heard.push(`third ${message}`));
      await third.confirmed;
      await speaker.publish(`${prefix}:a`, ["3"]);
      await until(() => heard.includes("third 3"));
      assert.deepEqual(heardOfA().slice(4), ["third 3"]);
    } finally {
      await Promise.all([speaker.close(), hearer.close()]);
    }
  });
});

describe("A Redis that fails", { skip: noRedisServer() }, () => {
  test("is warned of once when it goes, and heard again when it is back", async () => {
    const server = await createRedisServer();
    const { log, lines } = recordingLog();
    const redis = await openRedis({ url: server.url, log });
    try {
      const heard = new Set<string>();
      const { confirmed } = redis.subscribe("news", (message) => heard.add(message));
      const isHeard = (message: string): Promise<true> =>
        until(async () => {
          await redis.publish("news", [message]);
          return heard.has(message);
        });
      await until(() => lines.length > 0);
      assert.deepEqual(lines, ["warn: Redis is away; work goes on without it"], "a process starts without Redis");
      await server.start();
      await confirmed;
      await isHeard("one");
      await until(() => lines.length > 1);

      await server.kill();
      await until(() => lines.length > 2);
      await redis.publish("news", ["lost"]);
      await server.start();
      await isHeard("two");
      await until(() => lines.length > 3);
      assert.ok(!heard.has("lost"));

      server.pause();
      await redis.publish("news", ["unheard"]);
      assert.equal(lines.length, 5, "a Redis that does not answer is away");
      server.resume();
      await isHeard("three");
      assert.deepEqual(
        lines,
        [1, 2, 3].flatMap(() => ["warn: Redis is away; work goes on without it", "info: Redis is back"]),
      );
    } finally {
      server.resume();
      await redis.close();
      await server.remove();
    }
  });

  test("lets those who wait for a subscription go when it is closed", async () => {
    const server = await createRedisServer();
    const redis = await openRedis({ url: server.url, log: silentLogger });
    const { confirmed } = redis.subscribe("news", () => {});
    await redis.close();
    await confirmed;
    await server.remove();
  });
});
