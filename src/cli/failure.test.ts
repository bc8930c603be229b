import assert from "node:assert/strict";
import { test } from "node:test";
import { ConflictError, InvalidInputError, UnavailableError, type HoldfastError } from "../platform/errors.ts";
import { reportFailure, usageError } from "./failure.ts";
import { plain, type Terminal } from "./terminal.ts";

function report(error: unknown): [line: string | undefined, exitCode: number] {
  const lines: (string | undefined)[] = [];
  const terminal = { note: (line?: string) => lines.push(line), paintNote: plain } as Partial<Terminal> as Terminal;
  const exitCode = reportFailure(error, terminal, { verbose: false });
  assert.equal(lines.length, 1);
  return [lines[0], exitCode];
}

test("a failure is one line with its code, the place of what is wrong, and when to try again", () => {
  const told: [error: HoldfastError, line: string, exitCode: number][] = [
    [new ConflictError("task_ended", "It has ended."), "error: It has ended. (task_ended)", 1],
    [
      new InvalidInputError("invalid_request", "Too long.", "/prompt"),
      "error: Too long. (invalid_request at /prompt)",
      1,
    ],
    [
      new UnavailableError("queue_full", "Too many wait.", { afterMs: 12_300 }),
      "error: Too many wait. (queue_full; try again in 13 s)",
      1,
    ],
    [
      new UnavailableError("queue_full", "Too many wait.", { afterMs: 0 }),
      "error: Too many wait. (queue_full; try again in 1 s)",
      1,
    ],
    [usageError("No prompt."), "error: No prompt. (invalid_usage)", 2],
  ];
  for (const [error, line, exitCode] of told) assert.deepEqual(report(error), [line, exitCode]);
});

test("what is no error of ours says that it is a defect", () => {
  assert.match(
    report(new TypeError("x is not a function"))[0] ?? "",
    /x is not a function \(This is a defect of holdfast/,
  );
});
