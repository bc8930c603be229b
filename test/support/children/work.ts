/**
 * A process that works on a server's tasks, as crash-scenario.ts knows them, until it is told to stop. Prints its process id
 * when it is ready.
 *
 * Arguments: the URL of the database, the file of effects, the lease in milliseconds.
 */
import { openPostgres } from "../../../src/store/postgres.ts";
import { openLog, startScenario } from "../crash-scenario.ts";

const [url = "", path = "", leaseMs = ""] = process.argv.slice(2);
// Effects take a while, so that there is something to interrupt.
const reach = (point: string): Promise<void> | void => {
  if (point.startsWith("effect")) return new Promise((resolve) => setTimeout(resolve, 200));
};
const database = await openPostgres({ url });
const holdfast = await startScenario({ database, log: openLog(path), reach, leaseMs: Number(leaseMs) });
process.on("SIGTERM", () => {
  holdfast.stop().then(
    () => process.exit(0),
    () => process.exit(1),
  );
});
console.log(process.pid);
