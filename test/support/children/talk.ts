/**
 * A process that works on the tasks of talking-tasks.ts until it is told to stop. Prints its process id when it is ready.
 * Arguments: the URL of the database; those of Redis and its prefix, if it is to use one.
 */
import { startTalking } from "../talking-tasks.ts";

const [url = "", redis = "", prefix = ""] = process.argv.slice(2);
const { holdfast } = await startTalking({
  url,
  roles: ["worker"],
  redis: redis === "" ? undefined : { url: redis, prefix },
});
process.on("SIGTERM", () => {
  holdfast.stop().then(
    () => process.exit(0),
    () => process.exit(1),
  );
});
console.log(process.pid);
