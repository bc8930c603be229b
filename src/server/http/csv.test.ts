import assert from "node:assert/strict";
import { test } from "node:test";
import { toCsv } from "./csv.ts";

test("what has commas, quotes or line breaks is quoted, numbers and nothing stand as they are", () => {
  const csv = toCsv(
    ["name", "n"],
    [
      ['a "b", c', 1.5],
      ["two\nlines", null],
      ["", -2],
    ],
  );
  assert.equal(csv, 'name,n\r\n"a ""b"", c",1.5\r\n"two\nlines",\r\n,-2\r\n');
});

test("no text is a formula", () => {
  for (const text of ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =cmd|' /C calc'!A0", "\n=1"]) {
    const [, field = ""] = toCsv(["x"], [[text]]).split("x\r\n");
    assert.match(field, /^"?'/, JSON.stringify(text));
  }
  assert.equal(toCsv(["x"], [["a=1"]]), "x\r\na=1\r\n");
});
