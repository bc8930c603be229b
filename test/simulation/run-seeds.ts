/** Many seeds, one after the other, on one database that is now and then replaced by a fresh one. */
import type { Plant } from "./plant.ts";
import { runSeed, type Outcome } from "./run.ts";
import { SharedDatabase } from "./shared-database.ts";

/** Emptying the tables leaves dead rows in the catalogue, which nobody clears away here. */
const seedsPerDatabase = 400;

export interface Seeds {
  readonly first: number;
  readonly count: number;
  readonly plant?: Plant;
  /** Default: one of their own. */
  readonly database?: SharedDatabase;
}

/** Ends early when `onOutcome` answers false. */
export async function runSeeds(seeds: Seeds, onOutcome: (outcome: Outcome) => boolean): Promise<void> {
  const { first, count, plant } = seeds;
  let own: SharedDatabase | undefined;
  try {
    for (let run = 0; run < count; run++) {
      if (seeds.database === undefined && run % seedsPerDatabase === 0) {
        await own?.close();
        own = await SharedDatabase.open();
      }
      const outcome = await runSeed(first + run, seeds.database ?? own!, plant);
      if (!onOutcome(outcome)) return;
    }
  } finally {
    await own?.close();
  }
}

const tailLines = 40;

/** All that is needed to look into a seed that failed; `bug` is the one that was planted. */
export function report({ seed, hash, violations, trace }: Outcome, bug?: string): string {
  const said = violations.slice(0, 5).map(({ invariant, message }) => `  ${invariant}: ${message}`);
  const more = violations.length > said.length ? [`  … and ${violations.length - said.length} more`] : [];
  const options = `--seed ${seed}${bug === undefined ? "" : ` --bug "${bug}"`} --verbose`;
  return [
    `Seed ${seed} (${hash}) breaks:`,
    ...said,
    ...more,
    `The last of ${trace.length} events:`,
    ...trace.slice(-tailLines).map((line) => `  ${line}`),
    `To see it again: npm run simulate -- ${options}`,
  ].join("\n");
}
