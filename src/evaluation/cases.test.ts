import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { InvalidInputError } from "../platform/errors.ts";
import { parseCases } from "./cases.ts";

const lines = (...cases: unknown[]): string => cases.map((each) => JSON.stringify(each)).join("\n");

describe("A file of cases", () => {
  test("has one case a line; what a case leaves out has a default", () => {
    const [first, second] = parseCases(
      `\n${lines(
        { prompt: "Where is A-1001?", expect: { contains: "delivered" } },
        {
          id: "refund",
          prompt: "Refund A-1002.",
          context: { customer: 7 },
          calls: [{ tool: "refund", input: { orderId: "A-1002" } }, { tool: "send_email" }],
          calls_match: "exact",
          judge: { criteria: ["It is polite."], reference: "Done.", at_least: 0.5 },
          outcomes: [
            { tool: "refund", output: { refundId: "R-1" } },
            { tool: "send_email", error: { code: "tool_failed", message: "No such address." } },
          ],
        },
      )}\n\n`,
    );
    assert.equal(first?.id, "line 2");
    assert.deepEqual(
      [first.expect.contains, first.calls, first.judge, first.context],
      [["delivered"], null, null, null],
    );
    assert.equal(second?.calls?.match, "exact");
    assert.deepEqual(second.judge, { criteria: ["It is polite."], reference: "Done.", atLeast: 0.5 });
    assert.deepEqual(
      second.outcomes.map(({ outcome }) => outcome),
      [{ output: { refundId: "R-1" } }, { code: "tool_failed", message: "No such address." }],
    );
  });

  test("may name the criteria of a judge alone", () => {
    const [found] = parseCases(lines({ prompt: "Hi", judge: ["It greets.", "It is short."] }));
    assert.deepEqual(found?.judge, { criteria: ["It greets.", "It is short."], reference: null, atLeast: 1 });
  });

  const expect = { contains: "x" };
  const wrong: [what: string, file: string, message: RegExp][] = [
    ["no case", "\n \n", /no case/],
    ["a line that is not JSON", `${lines({ prompt: "Hi", expect })}\n{"prompt"`, /^Line 2: is not JSON/],
    ["a case without a prompt", lines({ expect }), /^Line 1 at \/prompt: /],
    ["a misspelt field", lines({ prompt: "Hi", expected: "x" }), /^Line 1: .*expected/],
    ["a case that expects nothing", lines({ prompt: "Hi" }), /^Line 1: expects nothing/],
    ["a pattern that is none", lines({ prompt: "Hi", expect: { regex: "(" } }), /^Line 1 at \/expect\/regex: /],
    ["a schema that is none", lines({ prompt: "Hi", expect: { schema: { type: "text" } } }), /\/expect\/schema: /],
    [
      "a record without an outcome",
      lines({ prompt: "Hi", expect, outcomes: [{ tool: "a" }] }),
      /\/outcomes\/0: .*either/,
    ],
    ["the same id twice", lines({ id: "a", prompt: "Hi", expect }, { id: "a", prompt: "Hi", expect }), /id "a"/],
  ];
  for (const [what, file, message] of wrong) {
    test(`with ${what} is refused, and it is said where`, () => {
      assert.throws(
        () => parseCases(file),
        (error) => {
          assert.ok(error instanceof InvalidInputError && error.code === "invalid_cases");
          assert.match(error.message, message);
          return true;
        },
      );
    });
  }
});
