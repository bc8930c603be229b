/** What the simulation is worth: it finds bugs that are known to be there. */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { type Climate, Plant } from "./plant.ts";
import { plantedBugs } from "./planted-bugs.ts";
import { report, runSeeds } from "./run-seeds.ts";
import { SharedDatabase } from "./shared-database.ts";

const mostSeeds = 400;

const database = await SharedDatabase.open();
after(() => database.close());

describe("A planted bug is found", () => {
  for (const bug of plantedBugs) {
    test(bug.name, async (t) => {
      const plant = new Plant(bug);
      let found: string | undefined;
      let foundAt = 0;
      await runSeeds({ first: 1, count: mostSeeds, plant, database }, ({ seed, violations }) => {
        const violation = violations.find(({ invariant }) => bug.breaks.includes(invariant));
        if (violation === undefined) return true;
        foundAt = seed;
        found = `${violation.invariant} by seed ${seed}: ${violation.message.slice(0, 160)}`;
        return false;
      });
      assert.deepEqual(plant.misfits(), [], "the statement that the bug changes is no longer what it was");
      assert.ok(found, `${mostSeeds} seeds did not find it`);
      t.diagnostic(`${bug.name}: found ${found}`);
      if (bug.climate !== undefined) await staysWhole({ climate: bug.climate, upTo: foundAt });
    });
  }
});

/** What is found must be the bug, and not what the climate does by itself. */
async function staysWhole({ climate, upTo }: { climate: Climate; upTo: number }): Promise<void> {
  await runSeeds({ first: 1, count: upTo, plant: new Plant({ climate }), database }, (outcome) => {
    assert.deepEqual(outcome.violations, [], report(outcome));
    return true;
  });
}
