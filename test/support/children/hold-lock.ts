/** Takes the lock of the directory it is given, prints its process id and stays. */
import { lockDataDirectory } from "../../../src/store/data-directory-lock.ts";

lockDataDirectory(process.argv[2]!);
console.log(process.pid);
setInterval(() => {}, 1000);
