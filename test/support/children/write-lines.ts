/** Inserts 1, 2, 3 … into a table of the data directory it is given; prints each number when it is acknowledged. */
import { openPglite } from "../../../src/store/pglite.ts";

const database = await openPglite({ dataDir: process.argv[2]! });
await database.script("create table if not exists line (n int)");
for (let n = 1; ; n++) {
  await database.query({ name: "insert", text: "insert into line values ($1)", values: [n] });
  console.log(n);
}
