import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readSettings } from "./settings.ts";

test("Redis is used where REDIS_URL names one, or the file of REDIS_URL_FILE does", () => {
  assert.equal(readSettings({}).redisUrl, null);
  assert.equal(readSettings({ REDIS_URL: "rediss://u:p@cache:6380/2" }).redisUrl, "rediss://u:p@cache:6380/2");
  const folder = mkdtempSync(join(tmpdir(), "holdfast-settings-"));
  try {
    const path = join(folder, "redis-url");
    writeFileSync(path, "redis://cache\n");
    assert.equal(readSettings({ REDIS_URL_FILE: path }).redisUrl, "redis://cache");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a REDIS_URL that is none is refused without being shown", () => {
  for (const wrong of ["cache:6379", "http://u:secret@cache", "secret"]) {
    assert.throws(
      () => readSettings({ REDIS_URL: wrong }),
      ({ code, message }: { code: string; message: string }) =>
        code === "invalid_setting" && message.includes("REDIS_URL") && !message.includes("secret"),
    );
  }
});
