/** The engine holds its invariants on some hundred seeds, and a seed is a whole course of events: the same every time. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { report, runSeeds } from "./run-seeds.ts";
import type { Outcome } from "./run.ts";

const seeds = { first: 1, count: 200 };

describe("The simulation", () => {
  test(`no invariant is broken by the seeds ${seeds.first} to ${seeds.first + seeds.count - 1}`, async () => {
    const broken: Outcome[] = [];
    await runSeeds(seeds, (outcome) => {
      if (outcome.violations.length > 0) broken.push(outcome);
      return broken.length < 3;
    });
    assert.equal(broken.length, 0, `\n${broken.map((each) => report(each)).join("\n\n")}`);
  });

  test("a seed that breaks something is reported with all that is needed to see it again", () => {
    const text = report({ seed: 7, hash: "", violations: [], trace: [] }, "a bug");
    assert.match(text, /npm run simulate -- --seed 7 --bug "a bug" --verbose$/);
  });

  test("a seed takes the same course again, whatever ran before it", async () => {
    const hashes = new Map<number, string>();
    await runSeeds({ first: 1000, count: 6 }, ({ seed, hash }) => hashes.set(seed, hash).size > 0);
    await runSeeds({ first: 1003, count: 2 }, ({ seed, hash }) => {
      assert.equal(hash, hashes.get(seed), `seed ${seed}`);
      return true;
    });
    assert.equal(new Set(hashes.values()).size, 6, "different seeds take different courses");
  });

  test("a seed takes the same course in another process", async () => {
    let here = "";
    await runSeeds({ first: 2000, count: 1 }, ({ hash }) => (here = hash) !== "");
    const main = fileURLToPath(new URL("main.ts", import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [...process.execArgv, main, "--seed", "2000"]);
    assert.match(stdout, new RegExp(`^seed 2000 has the hash ${here}$`, "m"));
  });
});
