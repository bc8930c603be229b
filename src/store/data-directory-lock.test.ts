import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { startChild } from "../../test/support/child.ts";
import { lockDataDirectory } from "./data-directory-lock.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "holdfast-lock-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

test("a second process is told which directory is in use, by whom, and what to do", async () => {
  const child = startChild("hold-lock", directory);
  try {
    const pid = await child.line();
    assert.throws(
      () => lockDataDirectory(directory),
      (error: Error & { code: string }) => {
        assert.equal(error.code, "data_directory_locked");
        for (const part of [directory, `process ${pid}`, "HOLDFAST_DATA", "DATABASE_URL"])
          assert.ok(error.message.includes(part));
        return true;
      },
    );
  } finally {
    await child.kill();
  }
});

test("the lock of a killed process is free at once, and taking it prints nothing", async () => {
  for (let round = 0; round < 3; round++) {
    const child = startChild("hold-lock", directory);
    await child.line();
    await child.kill();
    assert.equal(child.stderr(), "");
  }
  lockDataDirectory(directory).release();
});

test("the same process cannot take it twice, until it is released", () => {
  const lock = lockDataDirectory(directory);
  assert.throws(() => lockDataDirectory(directory), { code: "data_directory_locked" });
  lock.release();
  lockDataDirectory(directory).release();
});

test("a directory that cannot hold a lock is called unusable", () => {
  assert.throws(() => lockDataDirectory(join(directory, "absent")), {
    code: "data_directory_unusable",
    message: /absent/,
  });
});
