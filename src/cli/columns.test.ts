import assert from "node:assert/strict";
import { styleText } from "node:util";
import { describe, test } from "node:test";
import { columnsOf, fit, wrap } from "./columns.ts";

const red = (text: string): string => styleText("red", text, { validateStream: false });

describe("Columns", () => {
  test("colours and combining marks take none, wide characters two", () => {
    assert.equal(columnsOf(red("abc")), 3);
    assert.equal(columnsOf("e\u0301"), 1);
    assert.equal(columnsOf("注文"), 4);
    assert.equal(columnsOf("👩‍👩‍👧"), 2);
  });

  test("a text is cut before an ellipsis, never wider than it may be", () => {
    assert.equal(fit("abcdef", 6), "abcdef");
    assert.equal(fit("abcdef", 5), "abcd…");
    assert.equal(fit("注文番号", 5), "注文…");
    assert.ok(columnsOf(fit("a注文番号", 6)) <= 6);
  });

  test("a coloured text is cut by what is seen, and its colour ends", () => {
    const cut = fit(`${red("abcd")}efgh`, 6);
    assert.equal(cut, `${red("abcd")}e…`);
    assert.equal(fit(red("abcdef"), 3), red("ab…"));
  });

  test("lines break at spaces and keep those that are there", () => {
    assert.deepEqual(wrap("one two three\nfour", 8), ["one two", "three", "four"]);
    assert.deepEqual(wrap("unbreakably long", 4), ["unbreakably", "long"]);
    assert.deepEqual(wrap("as it is", Number.POSITIVE_INFINITY), ["as it is"]);
  });
});
