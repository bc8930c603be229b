/** Plays rounds of crash-scenario.ts, as killed-process.ts says. Arguments: JSON of `Orders`. */
import { openLog, playRound, startScenario } from "../crash-scenario.ts";
import { reportWrites } from "../crashing-database.ts";
import { playRounds, type Orders } from "../killed-process.ts";

const orders = JSON.parse(process.argv[2]!) as Orders;
const { leaseMs } = orders;
const log = openLog(orders.log);

await playRounds(orders, async (database, reach) => {
  const holdfast = await startScenario({ database: reportWrites(database, reach), log, reach, leaseMs });
  return { play: (round) => playRound(holdfast, round, log), stop: () => holdfast.stop() };
});
