import assert from "node:assert/strict";
import { test } from "node:test";
import { createToolCatalogue } from "./catalogue.ts";
import { defineTool, type Tool } from "./define-tool.ts";

function tool(name: string, version: string): Tool {
  return defineTool({
    name,
    version,
    description: "A tool.",
    effect: "read",
    input: { type: "object" },
    run: () => null,
  });
}

const catalogue = createToolCatalogue(
  ["1.0.0", "1.10.0", "1.9.0", "2.0.0", "2.1.0-beta.1"]
    .map((version) => tool("refund", version))
    .concat(tool("find", "0.1.0-rc.1")),
);

test("a reference resolves to the highest version its range allows", () => {
  const expected: Record<string, string> = {
    refund: "2.0.0",
    "refund@^1": "1.10.0",
    "refund@1.0.0": "1.0.0",
    "refund@~1.9": "1.9.0",
    "refund@>=2.1.0-beta": "2.1.0-beta.1",
    "refund@*": "2.0.0",
    find: "0.1.0-rc.1",
  };
  for (const [reference, version] of Object.entries(expected)) {
    assert.equal(catalogue.resolve(reference).version, version, reference);
  }
});

test("an unknown tool is refused with the list of what exists", () => {
  assert.throws(() => catalogue.resolve("refnd@^1"), {
    code: "unknown_tool",
    message: 'There is no tool "refnd@^1". The tools are: find, refund.',
  });
  assert.throws(() => catalogue.resolve("refund@^3"), {
    code: "unknown_tool",
    message: 'There is no tool "refund@^3". The versions of refund are: 1.0.0, 1.9.0, 1.10.0, 2.0.0, 2.1.0-beta.1.',
  });
  assert.throws(() => createToolCatalogue([]).resolve("x"), { message: /The tools are: none/ });
});

test("a reference that is none is refused", () => {
  for (const reference of ["refund@", "refund@latest", "refund@1@2"]) {
    assert.throws(() => catalogue.resolve(reference), { code: "invalid_tool_reference" }, reference);
  }
});

test("the same name and version twice is refused, with the place of the second", () => {
  assert.throws(() => createToolCatalogue([tool("a", "1.0.0"), tool("a", "1.0.1"), tool("a", "1.0.0")]), {
    code: "duplicate_tool",
    path: "/tools/2",
  });
});

test("a version that is gone is found again as a compatible one, never as an incompatible one", () => {
  assert.equal(catalogue.find("refund", "1.9.0")?.version, "1.9.0");
  assert.equal(catalogue.find("refund", "1.9.5")?.version, "1.10.0");
  assert.equal(catalogue.find("refund", "3.0.0"), undefined);
  assert.equal(catalogue.find("nothing", "1.0.0"), undefined);
});

test("a version that a range lets in must take what the one before it took", () => {
  const taking = (version: string, ...required: string[]): Tool =>
    defineTool({
      name: "refund",
      version,
      description: "A tool.",
      effect: "once",
      input: { type: "object", properties: { a: { type: "string" }, b: { type: "string" } }, required },
      run: () => null,
    });
  assert.throws(
    () => createToolCatalogue([taking("2.0.0", "a", "b"), taking("1.2.0", "a", "b"), taking("1.1.0", "a")]),
    {
      code: "incompatible_tool_version",
      path: "/tools/1",
      message:
        "Agents bound to refund@^1.1.0 would be given 1.2.0, which breaks what they rely on: " +
        '/input/required now requires "b". Mend it, or make it 2.0.0.',
    },
  );
  const fine: [string, string][] = [
    ["1.1.0", "2.0.0"],
    ["0.1.0", "0.2.0"],
    ["1.1.0-rc.1", "1.1.0"],
    ["1.1.0", "1.2.0-rc.1"],
  ];
  for (const [before, after] of fine) createToolCatalogue([taking(before, "a"), taking(after, "a", "b")]);
  createToolCatalogue([taking("1.1.0", "a", "b"), taking("1.2.0", "a")]);
  assert.throws(() => createToolCatalogue([taking("0.1.0", "a"), taking("0.1.1", "b")]), {
    message: /make it 0\.2\.0\.$/,
  });
});
