/** `holdfast tools` as a person types it. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { after, describe, test } from "node:test";
import { makeProject, runCommand, type Ended } from "../support/command.ts";

const tool = (version: string, input: string): string => `defineTool({
  name: "look_up", version: "${version}", description: "Looks something up.", effect: "read",
  input: ${input}, run: () => null,
})`;
const config = (...tools: string[]): string => `
  import { defineAgent, defineConfig, defineTool } from "holdfast";
  import { z } from "zod";
  export default defineConfig({
    agents: [defineAgent({ name: "clerk", instructions: "Answer.", tools: ["look_up"] })],
    tools: [${tools.join(", ")}],
  });`;
const first = tool("1.0.0", "z.strictObject({ id: z.string() })");

const project = makeProject({
  "holdfast.config.ts": config(first, tool("2.0.0", "z.strictObject({ id: z.int() })")),
  "broken.config.ts": config(first, tool("1.1.0", "z.strictObject({ id: z.int() })")),
});
after(() => rmSync(project, { recursive: true }));

function holdfast(...args: string[]): Promise<Ended> {
  return runCommand(["tools", ...args], { cwd: project });
}

describe("holdfast tools", () => {
  test("lists the tools of the config", async () => {
    const { stdout, exitCode } = await holdfast();
    assert.equal(exitCode, 0);
    assert.deepEqual(
      stdout
        .trim()
        .split("\n")
        .map((line) => line.split(/ {2,}/)),
      [
        ["TOOL", "VERSION", "EFFECT", "DESCRIPTION"],
        ["look_up", "1.0.0", "read", "Looks something up."],
        ["look_up", "2.0.0", "read", "Looks something up."],
      ],
    );
  });

  test("shows one with its schemas", async () => {
    assert.match(
      (await holdfast("show", "look_up@^1")).stdout,
      /^look_up@1\.0\.0\nLooks something up\.\n[^]*"id"[^]*output\nanything\n$/,
    );
    const { parameters } = JSON.parse((await holdfast("show", "look_up@^1", "--json")).stdout) as {
      parameters: object;
    };
    assert.deepEqual(parameters, {
      type: "object",
      properties: { id: { type: "string" } },
      required: ["id"],
      additionalProperties: false,
    });
  });

  test("says what one version breaks of another, and ends with 1", async () => {
    const { stdout, exitCode } = await holdfast("diff", "look_up@^1", "look_up@^2");
    assert.equal(exitCode, 1);
    assert.match(
      stdout,
      /✗ look_up@2\.0\.0 does not take the place of look_up@1\.0\.0:\n {2}\/input\/properties\/id\/type no longer allows: string/,
    );
    const same = await holdfast("diff", "look_up@^1", "look_up@1.0.0");
    assert.deepEqual([same.stdout, same.exitCode], ["✓ look_up@1.0.0 takes the place of look_up@1.0.0.\n", 0]);
  });

  test("refuses what makes no sense", async () => {
    const refused: [args: string[], exitCode: number, said: RegExp][] = [
      [["show"], 2, /Say which tool: `holdfast tools show <tool>`/],
      [["diff", "look_up"], 2, /Say which tool: `holdfast tools diff <tool> <other>`/],
      [["show", "look"], 1, /There is no tool "look"\. The tools are: look_up\. \(unknown_tool\)/],
      [["list", "--config", "broken.config.ts"], 1, /breaks what they rely on[^]*make it 2\.0\.0[^]*\(config_failed\)/],
    ];
    for (const [args, exitCode, said] of refused) {
      const ended = await holdfast(...args);
      assert.equal(ended.exitCode, exitCode, ended.stderr);
      assert.match(ended.stderr, said);
    }
  });
});
