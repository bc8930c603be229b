/**
 * `npm run bench`: every claim about speed, measured now, on this machine.
 *
 *   npm run bench                                   PGlite, and PostgreSQL if it is reachable
 *   npm run bench -- --seconds 10 --levels 1,128    longer, and only these numbers of concurrent tasks
 *
 * The server is the one the tests use: HOLDFAST_TEST_DATABASE_URL, or where a Debian package puts it. A database is made on
 * it and dropped again.
 *
 * Absolute figures hold only for the machine they were measured on: compare the ratios within one run.
 */
import { parseArgs } from "node:util";
import { databasesToMeasure } from "./databases.ts";
import { measureDurableOverhead } from "./durable-overhead.ts";
import { printDurableOverhead } from "./report.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "5" },
    levels: { type: "string", default: "1,16,128" },
  },
});
const measureMs = Number(values.seconds) * 1_000;
const load = { warmUpMs: Math.min(2_000, measureMs / 2), measureMs };
const levels = values.levels.split(",").map(Number);

for await (const { name, database } of databasesToMeasure()) {
  console.log(`\nDurable overhead on ${name}: a task of 5 turns and 4 tool calls, instant model\n`);
  printDurableOverhead(await measureDurableOverhead(database, { levels, load }));
}
