import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { z } from "zod";
import type { ToolOutcome } from "../agent/conversation.ts";
import type { Effect } from "../agent/journal.ts";
import { neverAborts } from "../platform/abort.ts";
import type { Clock } from "../platform/clock.ts";
import { defineTool } from "./define-tool.ts";
import { type KeepLarge, outcomeOf, type OutputOptions } from "./output.ts";
import type { SchemaSource } from "./schema.ts";

/** A clock that sleeps no time and remembers how long it should have. */
function sleeplessClock(slept: number[] = []): Clock {
  return {
    now: () => 0,
    monotonic: () => 0,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      slept.push(ms);
    },
    timer: () => () => undefined,
  };
}

function memoryStore(): { kept: Map<string, string>; keepLarge: KeepLarge } {
  const kept = new Map<string, string>();
  const keepLarge: KeepLarge = async ({ tenant }, text) => {
    const hash = createHash("sha256").update(text).digest("hex");
    kept.set(`${tenant}/${hash}`, text);
    return hash;
  };
  return { kept, keepLarge };
}

interface Given extends Partial<OutputOptions> {
  output?: SchemaSource;
  effect?: Effect;
  signal?: AbortSignal;
}

function outcome(answer: unknown, given: Given = {}): Promise<ToolOutcome> {
  const tool = defineTool({
    name: "report",
    version: "1.0.0",
    description: "Reports.",
    effect: given.effect ?? "read",
    input: { type: "object" },
    ...(given.output === undefined ? {} : { output: given.output }),
    run: () => null,
  });
  return outcomeOf(tool, answer, {
    context: {
      idempotencyKey: "k",
      taskId: "t1",
      sessionId: "s1",
      tenant: "acme",
      agent: "support",
      userId: null,
      signal: given.signal ?? neverAborts(),
    },
    limits: given.limits ?? { maxInlineBytes: 32_768, previewBytes: 8_192, maxBytes: 64 * 1024 * 1024 },
    keepLarge: given.keepLarge ?? memoryStore().keepLarge,
    clock: given.clock ?? sleeplessClock(),
  });
}

test("an answer becomes JSON as JSON.stringify says, and nothing becomes null", async () => {
  const answer = { at: new Date(0), gone: undefined, nan: Number.NaN, list: [undefined, 1] };
  assert.deepEqual(await outcome(answer), {
    ok: true,
    output: { at: "1970-01-01T00:00:00.000Z", nan: null, list: [null, 1] },
  });
  assert.deepEqual(await outcome(undefined), { ok: true, output: null });
});

test("an answer that is no JSON is an outcome that says the tool ran", async () => {
  const circular: { self?: unknown } = {};
  circular.self = circular;
  const throwing = {
    toJSON: () => {
      throw new Error("not yet");
    },
  };
  for (const [answer, cause] of [
    [{ n: 10n }, /BigInt/],
    [circular, /circular/],
    [() => 1, /a function is not JSON/],
    [Symbol("s"), /a symbol is not JSON/],
    [throwing, /not yet/],
  ] as const) {
    const result = await outcome(answer, { effect: "once" });
    assert.ok(!result.ok);
    assert.equal(result.code, "invalid_output");
    assert.match(result.message, /^report ran, but its answer cannot be turned into checked JSON: /);
    assert.match(result.message, cause);
  }
});

test("an answer of the wrong shape is an outcome that quotes what is wrong", async () => {
  const result = await outcome({ refundId: 7 }, { effect: "once", output: z.object({ refundId: z.string() }) });
  assert.deepEqual(result, {
    ok: false,
    code: "invalid_output",
    message:
      "report ran, but its answer does not fit its output schema:\n" +
      "/refundId: Invalid input: expected string, received number",
  });
});

test("the JSON of an answer is checked, and what the schema strips is not journaled", async () => {
  const output = z.object({ at: z.iso.datetime(), total: z.number().default(0) });
  assert.deepEqual(await outcome({ at: new Date(0), secret: "s" }, { output }), {
    ok: true,
    output: { at: "1970-01-01T00:00:00.000Z", total: 0 },
  });
});

test("ten megabytes are kept by hash, and the outcome holds the beginning", async () => {
  const { kept, keepLarge } = memoryStore();
  const answer = Array.from({ length: 100_000 }, (_, id) => ({ id, text: "x".repeat(90) }));
  const result = await outcome(answer, { keepLarge });
  const text = JSON.stringify(answer);
  assert.ok(result.ok && result.large);
  assert.ok(text.length > 10_000_000);
  assert.equal(result.output, text.slice(0, 8_192));
  assert.equal(result.large.bytes, text.length);
  assert.equal(kept.get(`acme/${result.large.hash}`), text);
});

test("the line between inline and kept is in bytes, not characters", async () => {
  const limits = { maxInlineBytes: 10, previewBytes: 5, maxBytes: 20 };
  assert.deepEqual(await outcome("12345678", { limits }), { ok: true, output: "12345678" });
  const kept = await outcome("123é5678", { limits });
  assert.ok(kept.ok && kept.large);
  assert.equal(kept.large.bytes, 11);
});

test("the beginning of a text is the text itself, cut between characters", async () => {
  const limits = { maxInlineBytes: 4, previewBytes: 6, maxBytes: 1_000 };
  const beginningOf = async (text: string): Promise<unknown> => {
    const result = await outcome(text, { limits });
    return result.ok && result.output;
  };
  assert.equal(await beginningOf('a"bcdefgh'), 'a"bcde');
  assert.equal(await beginningOf("ééééé"), "ééé");
  assert.equal(await beginningOf("abcd😀ef"), "abcd");
  assert.equal(await beginningOf("abcde😀ef"), "abcde");
  assert.equal(await beginningOf("ab😀efghi"), "ab😀");
});

test("an answer over the hard limit is refused, and its outcome says that the tool ran", async () => {
  const result = await outcome("x".repeat(100), { limits: { maxInlineBytes: 10, previewBytes: 5, maxBytes: 50 } });
  assert.deepEqual(result, {
    ok: false,
    code: "output_too_large",
    message: "report ran, but its answer of 102 bytes is over the limit of 50.",
  });
});

const tight = { maxInlineBytes: 4, previewBytes: 6, maxBytes: 1_000 };

test("a store that cannot keep the answer of a repeatable tool fails the run, which is then repeated", async () => {
  const keepLarge = (): Promise<string> => Promise.reject(new Error("store is down"));
  for (const effect of ["read", "idempotent"] as const) {
    await assert.rejects(outcome("a long text", { effect, limits: tight, keepLarge }), /store is down/);
  }
});

test("the answer of a once tool is kept at a later attempt of the store", async () => {
  let failures = 3;
  const slept: number[] = [];
  const keepLarge = async (): Promise<string> => {
    if (failures-- > 0) throw new Error("store is down");
    return "hash";
  };
  const result = await outcome("a long text", {
    effect: "once",
    limits: tight,
    keepLarge,
    clock: sleeplessClock(slept),
  });
  assert.deepEqual(result, { ok: true, output: "a long", large: { hash: "hash", bytes: 13 } });
  assert.deepEqual(slept, [100, 400, 1_600]);
});

test("the effect of a once tool is told even if its answer cannot be kept, and it says what is lost", async () => {
  let attempts = 0;
  const keepLarge = (): Promise<string> => {
    attempts++;
    return Promise.reject(new Error("store is down"));
  };
  const expected = { ok: true, output: "a long\n[The rest of these 13 bytes could not be stored and is lost.]" };
  assert.deepEqual(await outcome("a long text", { effect: "once", limits: tight, keepLarge }), expected);
  assert.equal(attempts, 4);
  const signal = AbortSignal.abort(new Error("shutting down"));
  assert.deepEqual(await outcome("a long text", { effect: "once", limits: tight, keepLarge, signal }), expected);
  assert.equal(attempts, 5);
});
