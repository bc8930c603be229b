import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { loadConfig } from "./load-config.ts";

const folder = mkdtempSync(join(tmpdir(), "holdfast-config-"));
let written = 0;

function write(text: string): string {
  const path = join(folder, `${++written}.config.ts`);
  writeFileSync(path, text);
  return path;
}

const agent = `{ name: "a", version: "1.0.0", description: "", instructions: "x", model: [], tools: [], limits: {}, queue: {} }`;

after(() => rmSync(folder, { recursive: true }));

describe("Loading a config", () => {
  test("gives what it exports by default", async () => {
    const config = await loadConfig(
      write(`const name: string = "a"; export default { agents: [${agent}], slots: name.length };`),
    );
    assert.deepEqual([config.agents[0]?.name, config.slots], ["a", 1]);
  });

  test("says that there is no such file, and where it looked", async () => {
    const path = join(folder, "none.ts");
    await assert.rejects(loadConfig(path), { code: "config_not_found", message: new RegExp(path) });
    await assert.rejects(loadConfig(folder), { code: "config_not_found" });
  });

  test("says what it throws, and on which line", async () => {
    await assert.rejects(loadConfig(write('\nthrow new Error("no key");')), {
      code: "config_failed",
      message: /\.config\.ts could not be loaded: no key \(.*\.config\.ts:2\)$/,
    });
    await assert.rejects(loadConfig(write("const = 1;")), { code: "config_failed", message: /\.config\.ts:1\)$/ });
    await assert.rejects(loadConfig(write('import "./absent.ts";')), { code: "config_failed", message: /absent\.ts/ });
  });

  test("says what is wrong with what it exports", async () => {
    const wrong: [text: string, message: RegExp][] = [
      ["export const config = 1;", /it has no default export/],
      ["export default null;", /default export is null/],
      ["export default 5;", /default export is a number/],
      ["export default { tools: [] };", /no list `agents`/],
      ['export default { agents: [{ name: "a" }] };', /agents\[0\] was not made with defineAgent/],
      [`export default { agents: [${agent}], tools: {} };`, /`tools` is no list/],
      [`export default { agents: [${agent}], tools: [{ name: "t" }] };`, /tools\[0\] was not made with defineTool/],
    ];
    for (const [text, message] of wrong)
      await assert.rejects(loadConfig(write(text)), { code: "config_invalid", message });
  });

  test("says which tool of which agent does not exist", async () => {
    const text = `export default { agents: [${agent.replace("tools: []", 'tools: ["refund@^1"]')}] };`;
    await assert.rejects(loadConfig(write(text)), { code: "invalid_config", path: "/agents/0/tools/0" });
  });
});
