import assert from "node:assert/strict";
import { test } from "node:test";
import { ago, bytes, count, duration, money, parseDays, percent } from "./quantities.ts";

test("a duration is told in the units that matter at its size, and never as sixty of one", () => {
  const told: [ms: number, text: string][] = [
    [0, "0 ms"],
    [340.4, "340 ms"],
    [999, "999 ms"],
    [1000, "1.0 s"],
    [59_949, "59.9 s"],
    [59_950, "1 m 00 s"],
    [185_000, "3 m 05 s"],
    [3_599_600, "1 h 00 m"],
    [7_800_000, "2 h 10 m"],
    [86_400_000 * 5 + 3_600_000 * 3, "5 d 3 h"],
  ];
  for (const [ms, text] of told) assert.equal(duration(ms), text, `${ms}`);
});

test("an age is told in its largest unit", () => {
  assert.deepEqual([-5, 900, 12_000, 60_000, 7_200_000, 259_200_000].map(ago), [
    "just now",
    "just now",
    "12 s ago",
    "1 m ago",
    "2 h ago",
    "3 d ago",
  ]);
});

test("money keeps the digits that a cheap call needs, and says when it is unknown", () => {
  assert.deepEqual([null, 0, 0.00001, 0.0021, 12.5].map(money), [
    "cost unknown",
    "$0",
    "under $0.0001",
    "$0.0021",
    "$12.50",
  ]);
});

test("a share is told in tenths of a percent, rounded down: what is not all is not shown as all", () => {
  assert.deepEqual([0, 0.1, 2 / 3, 0.07, 0.9999, 1, null].map(percent), [
    "0 %",
    "10 %",
    "66.6 %",
    "7 %",
    "99.9 %",
    "100 %",
    "-",
  ]);
});

test("counts have their plural and sizes their unit", () => {
  assert.deepEqual(
    [count(1, "step"), count(0, "step"), count(12_345, "token")],
    ["1 step", "0 steps", "12,345 tokens"],
  );
  assert.deepEqual([bytes(999), bytes(12_340), bytes(10_485_760)], ["999 bytes", "12.3 kB", "10.5 MB"]);
});

test("an age is read in days, from days, hours and minutes, and from nothing else", () => {
  assert.deepEqual(["30d", "12h", "90m", "0.5d"].map(parseDays), [30, 0.5, 0.0625, 0.5]);
  for (const text of ["", "30", "d", "-1d", "1w", "1d2h", "36501d"]) assert.equal(parseDays(text), undefined, text);
});
