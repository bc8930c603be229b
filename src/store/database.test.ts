import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { testDatabases } from "../../test/support/databases.ts";
import type { Database, Statement } from "./database.ts";
import { encodeJson } from "./json.ts";
import { StoreError } from "./store-error.ts";

const sql = (text: string, ...values: unknown[]): Statement => ({ text, values });
const named = (name: string, text: string, ...values: unknown[]): Statement => ({ name, text, values });

function failsAs(code: string, more: { sqlState?: string; constraint?: string } = {}) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof StoreError, `a StoreError, not ${String(error)}`);
    const { sqlState = error.sqlState, constraint = error.constraint } = more;
    assert.deepEqual([error.code, error.sqlState, error.constraint], [code, sqlState, constraint]);
    return true;
  };
}

for (const { name, open } of await testDatabases()) {
  describe(`a database on ${name}`, () => {
    let database: Database;

    before(async () => {
      database = await open();
      await database.script(
        "create table item (id int primary key, name text constraint item_name unique, body jsonb)",
      );
    });
    after(() => database.close());

    const count = async (): Promise<number> =>
      (await database.query<{ n: number }>(sql("select count(*) as n from item")))[0]!.n;

    test("answers numbers, times, JSON, bytes and arrays as plain values", async () => {
      const [row] = await database.query(
        sql(`select 1::smallint as small, 2 as int, 9007199254740991::bigint as big, 1.5::float8 as float, 2.25 as numeric,
          true as yes, 'x'::text as text, null::text as nothing,
          '0193a1b2-0000-7000-8000-000000000001'::uuid as id,
          '{"a": [1, null, "\\u00e9"]}'::jsonb as json, '[1]'::json as plain, 'null'::jsonb as json_null,
          '\\x00ff10'::bytea as bytes,
          '2026-11-21 00:14:00.123456+00'::timestamptz as at,
          array[1, null, 3] as ints, array['a "quoted" \\ one', 'NULL', '', 'ü,{}', null] as texts,
          array[9007199254740991]::bigint[] as bigs, array['0193a1b2-0000-7000-8000-000000000001'::uuid] as ids,
          '{}'::int[] as empty, array[[1, 2], [3, 4]] as nested, '[0:1]={5,6}'::int[] as from_zero,
          array[true, false] as flags, array['{"a": "b, \\"c\\""}'::jsonb] as jsons,
          array[to_timestamp(1.5)] as times, to_timestamp(-0.001) as early, 'infinity'::timestamptz as never,
          '1 day'::interval as other`),
      );
      assert.deepEqual(row, {
        small: 1,
        int: 2,
        big: Number.MAX_SAFE_INTEGER,
        float: 1.5,
        numeric: 2.25,
        yes: true,
        text: "x",
        nothing: null,
        id: "0193a1b2-0000-7000-8000-000000000001",
        json: { a: [1, null, "é"] },
        plain: [1],
        json_null: null,
        bytes: Buffer.from([0, 255, 16]),
        at: Date.UTC(2026, 10, 21, 0, 14, 0, 123),
        ints: [1, null, 3],
        texts: ['a "quoted" \\ one', "NULL", "", "ü,{}", null],
        bigs: [Number.MAX_SAFE_INTEGER],
        ids: ["0193a1b2-0000-7000-8000-000000000001"],
        empty: [],
        nested: [
          [1, 2],
          [3, 4],
        ],
        from_zero: [5, 6],
        flags: [true, false],
        jsons: [{ a: 'b, "c"' }],
        times: [1500],
        early: -1,
        never: Infinity,
        other: "1 day",
      });
    });

    test("takes numbers, times, JSON text, bytes, null and arrays as parameters", async () => {
      const now = Date.UTC(2026, 10, 21, 0, 14, 0, 123);
      const json = { text: 'a "quote" and \\ and é 👋', list: [1, null] };
      const simple = [7, Number.MAX_SAFE_INTEGER, -0.5, "it's", false];
      const special = [encodeJson(json), new Uint8Array([0, 1, 255]), now, null, undefined];
      const arrays = [['a "quoted" \\ one', "null", "", "ü,{}", null], [1, null], [], [true]];
      const [row] = await database.query(
        sql(
          `select $1::int as int, $2::bigint as big, $3::float8 as float, $4::text as text, $5::boolean as yes,
            $6::jsonb as json, $7::bytea as bytes, to_timestamp($8::float8 / 1000.0) as at, $9::int as nothing,
            $10::int as missing, $11::text[] as texts, $12::int[] as ints, $13::uuid[] as ids, $14::boolean[] as flags`,
          ...simple,
          ...special,
          ...arrays,
        ),
      );
      assert.deepEqual(row, {
        int: 7,
        big: Number.MAX_SAFE_INTEGER,
        float: -0.5,
        text: "it's",
        yes: false,
        json,
        bytes: Buffer.from([0, 1, 255]),
        at: now,
        nothing: null,
        missing: null,
        texts: ['a "quoted" \\ one', "null", "", "ü,{}", null],
        ints: [1, null],
        ids: [],
        flags: [true],
      });
    });

    test("keeps JSON with null characters and lone surrogates, which jsonb refuses, by replacing them", async () => {
      const body = { "k\u0000": ["\u0000", "\ud800", "a\udfffb", "👋", "\\u0000"] };
      const [row] = await database.query<{ body: unknown }>(sql("select $1::jsonb as body", encodeJson(body)));
      assert.deepEqual(row!.body, { "k\ufffd": ["\ufffd", "\ufffd", "a\ufffdb", "👋", "\\u0000"] });
    });

    test("carries values of several megabytes both ways", async () => {
      const text = "0123456789abcdef".repeat(500_000);
      const [row] = await database.query<{ text: string }>(sql("select $1::text as text", text));
      assert.equal(row!.text, text);
    });

    test("refuses to read an integer that a number cannot hold, and goes on", async () => {
      await assert.rejects(database.query(sql("select 9007199254740992::bigint as big")), { code: "assertion_failed" });
      assert.deepEqual(await database.query(sql("select 1 as ok")), [{ ok: 1 }]);
    });

    test("refuses a parameter that has no one spelling in SQL, before anything is sent", async () => {
      const before = await count();
      const insert = sql("insert into item values (900)");
      await assert.rejects(database.batch([insert, sql("select $1::jsonb", { a: 1 })]), failsAs("store_failed"));
      await assert.rejects(database.batch([insert, sql("select $1::jsonb", [{ a: 1 }])]), failsAs("store_failed"));
      assert.equal(await count(), before);
    });

    test("answers the rows of each statement of a batch, later ones seeing what earlier ones wrote", async () => {
      const results = await database.batch([
        named("insert_item", "insert into item values ($1, $2) returning id", 1, "one"),
        named("insert_item", "insert into item values ($1, $2) returning id", 2, "two"),
        sql("update item set body = '{}' where id = 1"),
        sql("select id, name, body from item where id < 3 order by id"),
        sql("select 1 as none where false"),
      ]);
      assert.deepEqual(results, [
        [{ id: 1 }],
        [{ id: 2 }],
        [],
        [
          { id: 1, name: "one", body: {} },
          { id: 2, name: "two", body: null },
        ],
        [],
      ]);
      assert.deepEqual(await database.batch([]), []);
    });

    test("undoes the whole batch and throws the first error, not those that follow from it", async () => {
      const before = await count();
      await assert.rejects(
        database.batch([
          sql("insert into item values (10)"),
          named("divide", "select 1 / $1::int", 0),
          sql("insert into item values (11)"),
          sql("select * from no_such_table"),
        ]),
        failsAs("store_failed", { sqlState: "22012" }),
      );
      assert.equal(await count(), before);
      assert.deepEqual(await database.query(named("divide", "select 4 / $1::int as half", 2)), [{ half: 2 }]);
    });

    test("undoes a batch that fails only when it is committed", async () => {
      await database.script("create table late (id int unique deferrable initially deferred)");
      const insert = sql("insert into late values (1)");
      await assert.rejects(database.batch([insert, insert]), failsAs("unique_violation"));
      assert.deepEqual(await database.query(sql("select * from late")), []);
    });

    test("never lets another query in between the statements of a batch", async () => {
      await database.script("create table pair (n int)");
      const increment = sql("insert into pair select coalesce(max(n), 0) + 1 from pair");
      const readers = Array.from({ length: 40 }, async (_, index) => {
        if (index % 2 === 0) {
          await database.batch([sql("select pg_advisory_xact_lock(1)"), increment, increment]);
          return 0;
        }
        const [row] = await database.query<{ n: number }>(sql("select count(*) as n from pair"));
        return row!.n % 2;
      });
      assert.deepEqual(new Set(await Promise.all(readers)), new Set([0]));
      assert.deepEqual(await database.query(sql("select count(*) as n, max(n) as most from pair")), [
        { n: 40, most: 40 },
      ]);
    });

    test("runs many queries at once, named and not", async () => {
      const answers = await Promise.all(
        Array.from({ length: 100 }, (_, n) =>
          database.query<{ n: number }>(
            n % 2 === 0 ? sql("select $1::int as n", n) : named("echo", "select $1::int as n", n),
          ),
        ),
      );
      assert.deepEqual(
        answers.map(([row]) => row!.n),
        Array.from({ length: 100 }, (_, n) => n),
      );
    });

    test("prepares a named statement anew when its text changes or its table has changed under it", async () => {
      assert.deepEqual(await database.query(named("same", "select 1 as a")), [{ a: 1 }]);
      assert.deepEqual(await database.query(named("same", "select 2 as b")), [{ b: 2 }]);
      await database.script("create table changing (a int); insert into changing values (1)");
      // Enough calls that every connection of a pool has prepared it.
      const all = () =>
        Promise.all(Array.from({ length: 20 }, () => database.query(named("star", "select * from changing"))));
      await all();
      await database.script("alter table changing add b int");
      await assert.rejects(all(), failsAs("store_conflict"));
      await Promise.allSettled(Array.from({ length: 20 }, all));
      assert.deepEqual((await all())[0], [{ a: 1, b: null }]);
    });

    test("runs a script of several statements in one transaction", async () => {
      await database.script("create table script_one (a int); insert into script_one values (1), (2);");
      assert.deepEqual(await database.query(sql("select sum(a) as sum from script_one")), [{ sum: 3 }]);
      await assert.rejects(
        database.script("insert into script_one values (3); create table script_two (a int); select 1 / 0;"),
        failsAs("store_failed", { sqlState: "22012" }),
      );
      const [row] = await database.query(sql("select sum(a) as sum, to_regclass('script_two') as two from script_one"));
      assert.deepEqual(row, { sum: 3, two: null });
    });

    test("names the constraint that a row violates", async () => {
      await database.query(sql("insert into item values (20, 'twenty')"));
      const again = database.query(named("insert_item", "insert into item values ($1, $2) returning id", 21, "twenty"));
      await assert.rejects(again, failsAs("unique_violation", { sqlState: "23505", constraint: "item_name" }));
      await assert.rejects(again, { retry: "never", message: /item_name.*\(name\)=\(twenty\)/s });
    });

    test("tells a wrong statement from a conflict and from a server that cannot serve", async () => {
      const fail = (state: string) =>
        database.script(`do $$ begin raise exception 'no' using errcode = '${state}'; end $$`);
      await assert.rejects(database.query(sql("selec 1")), failsAs("store_failed", { sqlState: "42601" }));
      await assert.rejects(fail("40001"), failsAs("store_conflict"));
      await assert.rejects(fail("40P01"), { retry: "now" });
      await assert.rejects(fail("53300"), failsAs("store_unavailable"));
      await assert.rejects(fail("57014"), { retry: { afterMs: 500 } });
      await assert.rejects(fail("HF001"), failsAs("store_failed", { sqlState: "HF001" }));
    });

    test("delivers notifications of what is committed, and of that alone, until it is told to stop", async () => {
      const heard: string[] = [];
      const end = Promise.withResolvers<void>();
      const listen = (payload: string): void => void (payload === "end" ? end.resolve() : heard.push(payload));
      const first = Promise.withResolvers<void>();
      const stopFirst = await database.listen("news", (payload) => {
        listen(`first ${payload}`);
        first.resolve();
      });
      const stop = await database.listen("news", listen);
      const notify = (payload: string) => sql("select pg_notify('news', $1)", payload);
      await database.batch([notify("one"), sql("select 1")]);
      while (heard.length < 2) await new Promise(setImmediate);
      await assert.rejects(database.batch([notify("undone"), sql("select 1 / 0")]));
      await first.promise;
      await stopFirst();
      await database.query(notify("two"));
      await database.query(notify("end"));
      await end.promise;
      assert.deepEqual(
        heard.filter((payload) => payload.startsWith("first")),
        ["first one"],
      );
      assert.deepEqual(
        heard.filter((payload) => !payload.startsWith("first")),
        ["one", "two"],
      );
      await stop();
      await assert.rejects((async () => database.listen('x"; drop table item; --', () => {}))(), {
        code: "assertion_failed",
      });
    });
  });

  test(`a database on ${name} refuses everything once it is closed, and may be closed twice`, async () => {
    const database = await open();
    const stop = await database.listen("news", () => {});
    const running = database.query(sql("select 1 as one"));
    await database.close();
    assert.deepEqual(await running, [{ one: 1 }]);
    await stop();
    await assert.rejects(database.query(sql("select 1")), failsAs("store_closed"));
    await assert.rejects(database.batch([sql("select 1")]), failsAs("store_closed"));
    await assert.rejects(database.script("select 1"), failsAs("store_closed"));
    await assert.rejects(
      database.listen("news", () => {}),
      failsAs("store_closed"),
    );
    await database.close();
  });
}
