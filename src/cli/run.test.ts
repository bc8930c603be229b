import assert from "node:assert/strict";
import { test } from "node:test";
import type { Context } from "./context.ts";
import { runCommand } from "./run.ts";
import type { Terminal } from "./terminal.ts";

test("what is said of one prompt is refused for a conversation", async () => {
  const context = { terminal: { canAsk: true } as Partial<Terminal>, environment: {} } as Partial<Context> as Context;
  for (const flags of [["--json"], ["--while-busy", "inject"]]) {
    const run = runCommand(context).parseAsync([...flags, "--url", "http://127.0.0.1:9"], { from: "user" });
    await assert.rejects(run, { code: "invalid_usage", message: `${flags[0]} needs a prompt.` });
  }
});
