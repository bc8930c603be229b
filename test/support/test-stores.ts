/** Stores for the tests of a file, one on each database. */
import { after } from "node:test";
import type { Database } from "../../src/store/database.ts";
import { createStore, type Store } from "../../src/store/store.ts";
import { testDatabases } from "./databases.ts";
import { openDesk, type TaskDesk } from "./stored-tasks.ts";

export interface TestStore {
  /** That of its database. */
  readonly name: string;
  readonly database: Database;
  readonly store: Store;
  readonly desk: TaskDesk;
  /** For `beforeEach`: deletes all that is stored. */
  readonly empty: () => Promise<void>;
}

/** They are closed after the last test. */
export async function testStores(): Promise<TestStore[]> {
  const databases = await testDatabases();
  return Promise.all(
    databases.map(async ({ name, open }) => {
      const database = await open();
      after(() => database.close());
      const store = createStore(database);
      return { name, database, store, desk: openDesk(store), empty: () => database.script(emptySql) };
    }),
  );
}

// What belongs to a task goes with it, but for its entries and its text.
const emptySql = `
  delete from task; delete from entry; delete from partial; delete from session; delete from large_value;
  delete from worker; delete from upkeep; delete from outgoing_result; delete from answer;`;
