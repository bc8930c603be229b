import assert from "node:assert/strict";
import { test } from "node:test";
import { HoldfastError, type Retry } from "../platform/errors.ts";
import { isUnavailable, StoreError, toStoreError } from "./store-error.ts";

const serverError = (code: string, more: object = {}): Error =>
  Object.assign(new Error("what the server says"), { severity: "ERROR", code, ...more });
const systemError = (code: string, message = `connect ${code} 127.0.0.1:5432`): Error =>
  Object.assign(new Error(message), { code });

const wait: Retry = { afterMs: 500 };

const cases: [title: string, thrown: unknown, code: string, retry: Retry][] = [
  ["a refused connection", systemError("ECONNREFUSED"), "store_unavailable", wait],
  ["a reset connection", systemError("ECONNRESET"), "store_unavailable", wait],
  ["a broken pipe", systemError("EPIPE"), "store_unavailable", wait],
  ["a host without address", systemError("ENOTFOUND"), "store_unavailable", wait],
  ["a socket that is not there", systemError("ENOENT"), "store_unavailable", wait],
  ["a connection that ended", new Error("Connection terminated unexpectedly"), "store_unavailable", wait],
  ["a pool without a free connection", new Error("timeout exceeded when trying to connect"), "store_unavailable", wait],
  [
    "a connection that failed before",
    new Error("Client has encountered a connection error and is not queryable"),
    "store_unavailable",
    wait,
  ],
  ["an administrator's shutdown", serverError("57P01", { severity: "FATAL" }), "store_unavailable", wait],
  ["a server that is starting up", serverError("57P03", { severity: "FATAL" }), "store_unavailable", wait],
  ["too many connections", serverError("53300", { severity: "FATAL" }), "store_unavailable", wait],
  ["a statement timeout", serverError("57014"), "store_unavailable", wait],
  ["a standby", serverError("25006"), "store_unavailable", wait],
  ["a serialization failure", serverError("40001"), "store_conflict", "now"],
  ["a deadlock", serverError("40P01"), "store_conflict", "now"],
  ["a lost prepared statement", serverError("26000"), "store_conflict", "now"],
  ["a unique violation", serverError("23505", { constraint: "task_pkey" }), "unique_violation", "never"],
  ["another violation", serverError("23503"), "store_failed", "never"],
  ["a feature that is not supported", serverError("0A000"), "store_failed", "never"],
  ["a syntax error", serverError("42601"), "store_failed", "never"],
  ["something that is not an error", "broken", "store_failed", "never"],
];

for (const [title, thrown, code, retry] of cases) {
  test(`${title} is ${code}`, () => {
    const error = toStoreError(thrown);
    assert.ok(error instanceof StoreError);
    assert.deepEqual([error.code, error.retry, error.cause], [code, retry, thrown]);
    assert.equal(isUnavailable(error), code === "store_unavailable");
  });
}

test("the constraint, the server's code and its words are kept", () => {
  const error = toStoreError(
    serverError("23505", { constraint: "item_name", detail: "Key (name)=(a) already exists." }),
  );
  assert.ok(error instanceof StoreError);
  assert.deepEqual([error.constraint, error.sqlState], ["item_name", "23505"]);
  assert.match(error.message, /what the server says \(Key \(name\)=\(a\) already exists\.\) \[23505\]/);
});

test("the failure of every address of a host is told", () => {
  const both = Object.assign(
    new AggregateError([systemError("ECONNREFUSED", "::1 refused"), systemError("x", "127.0.0.1 refused")]),
    {
      code: "ECONNREFUSED",
    },
  );
  assert.match(toStoreError(both).message, /::1 refused; 127\.0\.0\.1 refused/);
});

test("an error that is already one of ours stays as it is", () => {
  const error = new HoldfastError("assertion_failed", "no");
  assert.equal(toStoreError(error), error);
});
