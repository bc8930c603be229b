import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeJson } from "./json.ts";

test("ordinary values have the text of JSON.stringify", () => {
  for (const value of [null, 1, 'a\n"b" \\ é 👋 \u007f', [true, { a: undefined, b: [] }]]) {
    assert.equal(encodeJson(value), JSON.stringify(value));
  }
});

test("null characters and lone surrogates become the replacement character, in keys too", () => {
  assert.equal(encodeJson("a\u0000b"), '"a\ufffdb"');
  assert.equal(encodeJson("\ud83d"), '"\ufffd"');
  assert.equal(encodeJson("\udc4bx\ud83d"), '"\ufffdx\ufffd"');
  assert.equal(encodeJson({ "k\u0000": "\udfff" }), '{"k\ufffd":"\ufffd"}');
});

test("text that only looks like an escape is kept", () => {
  const literals = ["\\u0000", "\\\\u0000", "\\ud800", "C:\\u0000\\udead"];
  for (const text of literals) assert.equal(JSON.parse(encodeJson(text)), text);
  assert.equal(JSON.parse(encodeJson("\\u0000 \\\u0000 \u0000")), "\\u0000 \\\ufffd \ufffd");
  assert.equal(JSON.parse(encodeJson("\u0001\u0000\u001f")), "\u0001\ufffd\u001f");
});

test("any text comes back as it was, but for what had to be replaced", () => {
  const units = fc.array(fc.constantFrom("\\", "u", "0", "0000", "d83d", "\u0000", "\ud83d", "\udc4b", '"', "é", "\n"));
  fc.assert(
    fc.property(units, (parts) => {
      const text = parts.join("");
      assert.equal(JSON.parse(encodeJson(text)), text.toWellFormed().replaceAll("\u0000", "\ufffd"));
    }),
  );
});

test("a value without JSON text is a defect of the caller", () => {
  assert.throws(() => encodeJson(undefined), { code: "assertion_failed" });
});
