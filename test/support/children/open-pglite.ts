/** Opens the data directory it is given, from nothing if it is empty. */
import { openPglite } from "../../../src/store/pglite.ts";

await openPglite({ dataDir: process.argv[2]! });
