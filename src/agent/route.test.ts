import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidInputError } from "../platform/errors.ts";
import { defineRoute, modelsOf, plainRoute, type RouteInput } from "./route.ts";

test("a name, a list of names and a route of the same names are the same route", () => {
  const route = plainRoute(["a/x"]);
  assert.deepEqual(defineRoute("a/x"), route);
  assert.deepEqual(defineRoute(["a/x"]), route);
  assert.deepEqual(defineRoute({ candidates: ["a/x"] }), route);
});

test("no route has no candidates", () => assert.deepEqual(defineRoute(undefined).candidates, []));

test("what a candidate does not say is its place in the list, an equal share, and every call", () => {
  const { candidates } = defineRoute({ candidates: ["a/x", { model: "b/y", rank: 1, weight: 3 }] });
  assert.deepEqual(candidates, [
    { model: "a/x", rank: 1, weight: 1, when: {}, timeouts: {} },
    { model: "b/y", rank: 1, weight: 3, when: {}, timeouts: {} },
  ]);
});

test("the models of a route are named by rank, and within one as they are listed", () => {
  const route = defineRoute({ candidates: [{ model: "c/z", rank: 9 }, "b/y", { model: "a/x", rank: 2 }] });
  assert.deepEqual(modelsOf(route), ["b/y", "a/x", "c/z"]);
});

test("a judge that is only named wants all of the usual criteria to be met", () => {
  const { judge } = defineRoute({ candidates: ["a/x", "b/y"], strategy: "small_first", judge: "a/judge" });
  assert.deepEqual(judge, { model: "a/judge", criteria: [], atLeast: 1 });
});

const wrong: [path: string, RouteInput][] = [
  ["/model/0", "gpt-5"],
  ["/model/1", ["a/x", "Nope"]],
  ["/model/candidates", { candidates: [] }],
  ["/model/candidates", { candidates: [{ model: "a/x", when: { tools: true } }] }],
  ["/model/candidates/0/model", { candidates: ["nope"] }],
  ["/model/candidates/1/weight", { candidates: ["a/x", { model: "b/y", weight: 0 }] }],
  ["/model/candidates/0/rank", { candidates: [{ model: "b/y", rank: Number.NaN }] }],
  [
    "/model/candidates/0/when/contextTokensAtMost",
    { candidates: [{ model: "b/y", when: { contextTokensAtMost: -1 } }, "a/x"] },
  ],
  ["/model/candidates/0/timeouts/silenceMs", { candidates: [{ model: "b/y", timeouts: { silenceMs: 0 } }] }],
  ["/model/strategy", { candidates: ["a/x"], strategy: "best" as "fixed" }],
  ["/model/judge", { candidates: ["a/x"], judge: "a/judge" }],
  ["/model/judge/model", { candidates: ["a/x"], strategy: "small_first", judge: "judge" }],
  ["/model/judge/criteria", { candidates: ["a/x"], strategy: "small_first", judge: { model: "a/j", criteria: [" "] } }],
  ["/model/judge/atLeast", { candidates: ["a/x"], strategy: "small_first", judge: { model: "a/j", atLeast: 2 } }],
];
for (const [path, input] of wrong) {
  test(`${JSON.stringify(input)} is refused at ${path}`, () => {
    assert.throws(
      () => defineRoute(input),
      (thrown) => thrown instanceof InvalidInputError && thrown.path === path,
    );
  });
}
