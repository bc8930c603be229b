/** Plays rounds of steering-scenario.ts, as killed-process.ts says. Arguments: JSON of `Orders`. */
import { playRounds, type Orders } from "../killed-process.ts";
import { openAnswers, startSteering } from "../steering-scenario.ts";

const orders = JSON.parse(process.argv[2]!) as Orders;
const answers = openAnswers(orders.log);

await playRounds(orders, (database, reach) => startSteering({ database, answers, reach, leaseMs: orders.leaseMs }));
