/** Virtual keys; see queries/virtual-keys.ts. Every call that comes with one looks it up, so look-ups travel together. */
import { assert } from "../platform/errors.ts";
import { createCoalescer } from "./coalescer.ts";
import type { Database } from "./database.ts";
import {
  anyKeyStatement,
  insertKeyStatement,
  keysByHashStatement,
  keysStatement,
  reserveKeyStatements,
  revokeKeyStatement,
  settleKeysStatements,
  type KeyRow,
  type NewKey,
  type ReservedKey,
  type ReserveKey,
  type SettleKey,
} from "./queries/virtual-keys.ts";

export interface FoundKey {
  readonly key: KeyRow | undefined;
  /** Whether there is any key at all. */
  readonly anyKey: boolean;
}

const mostPerRead = 500;

export function createVirtualKeyStore(database: Database) {
  return {
    addKey: async (key: NewKey): Promise<KeyRow> => {
      const [row] = await database.query<KeyRow>(insertKeyStatement(key));
      assert(row !== undefined, "An insert answers what it inserted.");
      return row;
    },
    /** By the hash of its secret; null: by none. */
    findKey: createCoalescer<string | null, FoundKey>({
      maxItems: mostPerRead,
      flush: async (hashes) => {
        const known = hashes.filter((hash) => hash !== null);
        const [any = [], rows = []] = await database.batch([anyKeyStatement, keysByHashStatement(known)]);
        const keys = new Map((rows as unknown as (KeyRow & { hash: string })[]).map(({ hash, ...key }) => [hash, key]));
        const anyKey = any[0]?.["found"] === true;
        return hashes.map((hash) => ({ key: hash === null ? undefined : keys.get(hash), anyKey }));
      },
    }),
    keys: (page: { before: string | undefined; limit: number }) => database.query<KeyRow>(keysStatement(page)),
    /** False: there is no such key. */
    revokeKey: async (id: string) => (await database.query(revokeKeyStatement(id))).length > 0,
    /** Undefined: there is no such key. */
    reserveKey: async (reservation: ReserveKey) => {
      const [, rows = []] = await database.batch(reserveKeyStatements(reservation));
      return rows[0] as unknown as ReservedKey | undefined;
    },
    settleKey: createCoalescer<SettleKey, void>({
      maxItems: mostPerRead,
      flush: async (settlements) => {
        await database.batch(settleKeysStatements(settlements));
        return settlements.map(() => undefined);
      },
    }),
  };
}
