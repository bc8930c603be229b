import assert from "node:assert/strict";
import { test } from "node:test";
import type { Context } from "./context.ts";
import { runCommand } from "./run.ts";
import type { Terminal } from "./terminal.ts";

test("what is said of one prompt is refused for a conversation", async () => {
  const context = { terminal: { canAsk: true } as Partial<Terminal>, environment: {} } as Partial<Context> as Context;
  for (const flags of [["--json"], ["--while-busy", "inject"], ["--deferred"]]) {
    const run = runCommand(context).parseAsync([...flags, "--url", "http://127.0.0.1:9"], { from: "user" });
    await assert.rejects(run, { code: "invalid_usage", message: `${flags[0]} needs a prompt.` });
  }
});

test("a time within which a batch API is waited for is one of a deferred prompt, and like 6h", async () => {
  const context = { terminal: { canAsk: false } as Partial<Terminal>, environment: {} } as Partial<Context> as Context;
  const run = (...flags: string[]) =>
    runCommand(context)
      .exitOverride()
      .configureOutput({ writeErr() {} })
      .parseAsync(["Sum it up.", ...flags, "--url", "http://127.0.0.1:9"], { from: "user" });
  await assert.rejects(run("--within", "6h"), { code: "invalid_usage", message: "--within goes with --deferred." });
  for (const time of ["6", "31d", "0h"])
    await assert.rejects(run("--deferred", "--within", time), /a time like 90m, 6h or 2d/);
  // It is sent to where no server is.
  await assert.rejects(run("--deferred", "--within", "6h"), { code: "service_unreachable" });
});
