/** Migrates the database at the URL it is given with the migrations of a directory; prints what it applied, as JSON. */
import { migrate } from "../../../src/store/migrate.ts";
import { openPostgres } from "../../../src/store/postgres.ts";

const database = await openPostgres({ url: process.argv[2]! });
console.log(JSON.stringify(await migrate(database, { directory: process.argv[3]! })));
await database.close();
