import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { testDatabases } from "../../../test/support/databases.ts";
import { gateFleet, plainEnd, type Call } from "../../../test/support/gate-fleet.ts";
import type { HoldfastError } from "../../platform/errors.ts";
import type { Database } from "../../store/database.ts";

let database: Database;
before(async () => {
  database = await (await testDatabases())[0]!.open();
});
after(() => database.close());

const begun = (calls: readonly Call[]): number => calls.filter(({ pass }) => pass !== undefined).length;
const many = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, at) => make(at));
const codeOf = ({ refused }: Call): string | undefined => (refused as HoldfastError | undefined)?.code;
const retryOf = ({ refused }: Call): unknown => (refused as HoldfastError).retry;
const openaiHeaders = (requests: string, tokens: string): Record<string, string> => ({
  "x-ratelimit-limit-requests": requests,
  "x-ratelimit-limit-tokens": tokens,
});

describe("A gate without a limit", () => {
  test("lets calls through and writes nothing", async () => {
    const fleet = gateFleet(database);
    const process = fleet.start();
    const calls = many(500, () => process.call());
    await fleet.pass(1);
    assert.equal(begun(calls), 500);
    for (const { pass } of calls) pass!.leave({ ...plainEnd, usedTokens: 12 });
    await fleet.pass(10_000);
    assert.deepEqual([process.store.asks, process.store.looks], [0, 1]);
    assert.equal(process.status()[0]?.inFlight, 0);
    const later = process.call();
    await fleet.pass(60_001);
    assert.deepEqual([begun([later]), process.store.looks], [1, 1], "it does not look while nobody calls");
  });

  test("lets calls through when the store does not answer, and those of a provider that has no limits at once", async () => {
    const fleet = gateFleet(database);
    const process = fleet.start();
    process.store.isSilent = true;
    const call = process.call();
    await fleet.pass(1);
    assert.equal(begun([call]), 1);
    const free = fleet.start({ keysOf: () => [] });
    await free.call().over;
    assert.equal(free.store.looks, 0);
  });
});

describe("A gate with a limit", () => {
  test("asks for all calls that wait in one statement, and lets through what fits", async () => {
    const fleet = gateFleet(database);
    const process = fleet.start({ limits: { requestsPerMinute: 100 } });
    const calls = many(150, () => process.call({ longestWaitMs: 90_000 }));
    await fleet.pass(1);
    assert.equal(begun(calls), 100);
    assert.equal(process.store.asks, 1);
    await fleet.pass(61_000, 1_000);
    assert.equal(begun(calls), 100);
    await fleet.pass(1_000);
    assert.equal(begun(calls), 150);
    assert.ok(process.store.asks < 70, `${process.store.asks} asks in a minute`);
    await process.close();
  });

  test("is asked also for a call that may not wait", async () => {
    const fleet = gateFleet(database);
    const process = fleet.start({ limits: { requestsPerMinute: 1 } });
    const calls = many(2, () => process.call({ longestWaitMs: 0 }));
    await fleet.clock.advance(10);
    await fleet.pass(300);
    assert.deepEqual([begun(calls), codeOf(calls[1]!)], [1, "model_gate_full"]);
  });

  test("asks nothing more when it is closed, whatever still ends", async () => {
    const fleet = gateFleet(database);
    const process = fleet.start({ limits: { tokensPerMinute: 100 } });
    const calls = many(3, () => process.call({ tokens: 50 }));
    await fleet.pass(1);
    await process.close();
    const asks = process.store.asks;
    for (const { pass } of calls) pass?.leave({ ...plainEnd, usedTokens: 1 });
    await fleet.pass(5_000, 500);
    assert.deepEqual([begun(calls), process.store.asks, fleet.clock.pending], [2, asks, 1]);
    await fleet.pass(15_001);
    assert.deepEqual([codeOf(calls[2]!), fleet.clock.pending], ["model_gate_full", 0]);
  });

  test("is shared by all processes", async () => {
    const fleet = gateFleet(database);
    const processes = many(4, () => fleet.start({ limits: { requestsPerMinute: 100 } }));
    const calls = processes.map((process) => many(60, () => process.call()));
    await fleet.pass(100, 20);
    assert.equal(begun(calls.flat()), 100);
  });

  test("counts tokens as estimated, and gives back what was not used", async () => {
    const fleet = gateFleet(database);
    const process = fleet.start({ limits: { tokensPerMinute: 10_000 } });
    const calls = many(30, () => process.call({ tokens: 1_000 }));
    await fleet.pass(1);
    assert.equal(begun(calls), 10);
    for (const { pass } of calls) pass?.leave({ ...plainEnd, usedTokens: 500 });
    await fleet.pass(200, 20);
    assert.equal(begun(calls), 15);
  });

  test("of concurrent calls holds for all processes, and a place that is left is taken", async () => {
    const fleet = gateFleet(database);
    const [one, two] = many(2, () => fleet.start({ limits: { maxConcurrent: 3 } }));
    const calls = [...many(3, () => one!.call()), ...many(3, () => two!.call())];
    await fleet.pass(100, 20);
    assert.equal(begun(calls), 3);
    calls.find(({ pass }) => pass !== undefined)!.pass!.leave(plainEnd);
    await fleet.pass(1_000, 50);
    assert.equal(begun(calls), 4);
    // Both live on beyond the time for which one is believed to, as long as they have calls under way.
    await fleet.pass(18_000, 1_000);
    assert.equal(begun(calls), 4);
  });
});

describe("The queue", () => {
  test("is served by tenants in turn: three calls of one do not wait behind a thousand of another", async () => {
    const fleet = gateFleet(database);
    const process = fleet.start({ limits: { requestsPerMinute: 60 } });
    const crowd = many(1_000, () => process.call({ tenant: "crowd", longestWaitMs: 1_000_000 }));
    const few = many(3, () => process.call({ tenant: "few" }));
    await fleet.pass(1);
    assert.deepEqual([begun(crowd), begun(few)], [57, 3]);
    assert.equal(process.status()[0]?.waiting, 943);
  });

  test("refuses a call when its time is over, or when that is seen beforehand", async () => {
    const fleet = gateFleet(database);
    const process = fleet.start({ limits: { requestsPerMinute: 60 } });
    many(60, () => process.call());
    await fleet.pass(100, 20);
    const late = process.call({ longestWaitMs: 5_000 });
    // As many as could begin at once if the window were empty, and five seconds' worth more.
    many(64, () => process.call({ longestWaitMs: 200_000 }));
    await fleet.pass(4_000, 500);
    assert.equal(codeOf(late), undefined);
    const known = process.call({ longestWaitMs: 4_000 });
    await known.over;
    assert.deepEqual([codeOf(known), retryOf(known)], ["model_gate_full", { afterMs: 60_000 }]);
    const first = process.call({ tenant: "bob", longestWaitMs: 4_000 });
    await fleet.pass(1_001);
    assert.equal(codeOf(late), "model_gate_full");
    assert.equal(codeOf(first), undefined, "another tenant's turn comes sooner");
  });

  test("goes on past a call that would wait in vain, which begins when enough is free", async () => {
    const fleet = gateFleet(database);
    const process = fleet.start({ limits: { tokensPerMinute: 1_000 } });
    const first = process.call({ tokens: 600, longestWaitMs: 100_000 });
    await fleet.pass(100, 20);
    const large = process.call({ tokens: 2_000, longestWaitMs: 100_000 });
    const small = many(3, () => process.call({ tokens: 100 }));
    await fleet.pass(1_000, 20);
    assert.deepEqual([begun([first]), begun([large]), begun(small)], [1, 0, 3]);
    await fleet.pass(64_000, 1_000);
    assert.equal(begun([large]), 1);
  });

  test("is bounded, and whoever has the most waiting gives way", async () => {
    const fleet = gateFleet(database);
    const process = fleet.start({ limits: { requestsPerMinute: 1 }, mostWaiting: 10 });
    const options = { longestWaitMs: 10_000_000 };
    await Promise.all([process.call(options).over, fleet.pass(100, 20)]);
    const crowd = many(11, () => process.call({ ...options, tenant: "crowd" }));
    await fleet.pass(1);
    assert.deepEqual(crowd.map(codeOf).indexOf("model_gate_full"), 10, "its own newest");
    const few = many(5, () => process.call({ ...options, tenant: "few" }));
    await fleet.pass(1);
    assert.equal(few.filter(({ refused }) => refused !== undefined).length, 0);
    assert.equal(crowd.filter(({ refused }) => refused !== undefined).length, 6);
    const more = process.call({ ...options, tenant: "few" });
    await more.over;
    assert.equal(codeOf(more), "model_gate_full");
  });

  test("is left by a call whose signal aborts, and the store no longer keeps room for it", async () => {
    const fleet = gateFleet(database);
    const [one, two] = many(2, () => fleet.start({ limits: { tokensPerMinute: 100 } }));
    const first = one!.call({ tokens: 60 });
    await fleet.pass(50, 10);
    const controller = new AbortController();
    const large = two!.call({ tokens: 65, signal: controller.signal });
    await fleet.pass(50, 10);
    const small = one!.call({ tokens: 10 });
    await fleet.pass(500, 50);
    assert.equal(begun([first, small]), 1);
    controller.abort(new Error("enough"));
    await large.over;
    assert.equal((large.refused as Error).message, "enough");
    await fleet.pass(1_100, 50);
    assert.equal(begun([small]), 1);
    const aborted = one!.call({ signal: AbortSignal.abort(new Error("before")) });
    await aborted.over;
    assert.equal((aborted.refused as Error).message, "before");
  });
});

describe("When very many models are called", () => {
  test("the gate that was used longest ago is forgotten first, and none at which a call is under way", async () => {
    const fleet = gateFleet(database);
    const process = fleet.start();
    process.store.isSilent = true;
    const models = (): string[] => process.status().map(({ model }) => model);
    const use = async (model: string): Promise<Call> => {
      const call = process.call({ model });
      await call.over;
      return call;
    };
    const held = await use("openai/held");
    for (const [round, names] of [many(999, (at) => `openai/${at}`), ["openai/0", "openai/x", "openai/y"]].entries()) {
      for (const name of names) (await use(name)).pass!.leave(plainEnd);
      await fleet.pass(round === 0 ? 5_000 : 0);
    }
    assert.equal(models().length, 1_000);
    const gone = many(999, (at) => `openai/${at}`).filter((name) => !models().includes(name));
    assert.deepEqual([models()[0], gone], ["openai/held", ["openai/1", "openai/2"]]);
    held.pass!.leave(plainEnd);
    await process.close();
  });
});

describe("What a provider says", () => {
  test("in headers is a limit for all processes, those that have not called yet too", async () => {
    const fleet = gateFleet(database);
    const one = fleet.start();
    const [call] = many(1, () => one.call());
    await fleet.pass(1);
    call!.pass!.leave({ ...plainEnd, usedTokens: 1, headers: openaiHeaders("10", "5000") });
    await fleet.pass(200, 20);
    assert.equal(one.status()[0]?.requestsPerMinute, 10);
    const two = fleet.start();
    const calls = many(20, () => two.call());
    await fleet.pass(100, 20);
    assert.equal(begun(calls), 9);
    assert.equal(two.status()[0]?.tokensPerMinute, 5_000);
  });

  test("in a refusal lowers the limit, and keeps all away for as long as it asks", async () => {
    const fleet = gateFleet(database);
    const [one, two] = many(2, () => fleet.start({ limits: { requestsPerMinute: 100 } }));
    const calls = many(50, () => one!.call());
    await fleet.pass(50, 10);
    calls[0]!.pass!.leave({ ...plainEnd, rateLimited: { retryAfterMs: 10_000 } });
    await fleet.pass(50, 10);
    const waiting = two!.call();
    await fleet.pass(9_000, 500);
    assert.equal(begun([waiting]), 0);
    const status = two!.status()[0]!;
    assert.ok(status.blockedForMs > 0 && status.blockedForMs < 1_000, String(status.blockedForMs));
    assert.equal(status.requestsPerMinute, 50);
    const hopeless = one!.call({ longestWaitMs: 100 });
    await hopeless.over;
    assert.equal(codeOf(hopeless), "model_gate_full");
    await fleet.pass(63_000, 1_000);
    assert.equal(begun([waiting]), 1);
  });

  test("where no limit is known: all begin to count, and a refusal sets the limit to what they had in use", async () => {
    const fleet = gateFleet(database);
    const processes = many(2, () => fleet.start());
    const calls = processes.map((process) => many(50, () => process.call()));
    await fleet.pass(1);
    for (const [first] of calls) first!.pass!.leave({ ...plainEnd, rateLimited: { retryAfterMs: 1_000 } });
    await fleet.pass(300, 20);
    for (const process of processes) process.call();
    await fleet.pass(2_000, 100);
    for (const process of processes) assert.equal(process.status()[0]?.requestsPerMinute, 90);
  });

  test("with one key is nothing to another, which takes over", async () => {
    const fleet = gateFleet(database);
    const process = fleet.start({ keysOf: () => ["a", "b"], limits: { requestsPerMinute: 10 } });
    const calls = many(15, () => process.call());
    await fleet.pass(200, 20);
    const keys = calls.map(({ pass }) => pass?.key);
    assert.deepEqual([keys.filter((key) => key === 0).length, keys.filter((key) => key === 1).length], [10, 5]);
    const open = fleet.start({ keysOf: () => ["c", "d"] });
    open.call().over.then(() => {}, assert.fail);
    await fleet.pass(1);
    const [second, first] = [open.call(), open.call()];
    await fleet.pass(1);
    assert.deepEqual([first.pass?.key, second.pass?.key], [0, 1], "the one with fewer under way");
    first.pass!.leave({ ...plainEnd, rateLimited: { retryAfterMs: 30_000 } });
    const next = many(3, () => open.call());
    await fleet.pass(100, 20);
    assert.deepEqual(
      next.map(({ pass }) => pass?.key),
      [1, 1, 1],
    );
  });
});

describe("While the store does not answer", () => {
  test("a process goes on at the pace it had, and tells afterwards what it did", async () => {
    const fleet = gateFleet(database);
    const [one, two] = many(2, () => fleet.start({ limits: { requestsPerMinute: 100 } }));
    const before = [...many(30, () => one!.call()), ...many(60, () => two!.call())];
    await fleet.pass(100, 20);
    assert.equal(begun(before), 90);
    one!.store.isSilent = true;
    const during = many(50, () => one!.call({ longestWaitMs: 1_000_000 }));
    await fleet.pass(30_000, 1_000);
    assert.equal(begun(during), 0);
    await fleet.pass(33_000, 1_000);
    assert.equal(begun(during), 30);
    one!.store.isSilent = false;
    await fleet.pass(10_000, 100);
    assert.equal(begun(during), 50, "the rest, when the store answers again");
    const others = many(100, () => two!.call());
    await fleet.pass(200, 20);
    assert.equal(begun(others), 50);
  });

  test("for a moment, calls wait", async () => {
    const fleet = gateFleet(database);
    const process = fleet.start({ limits: { requestsPerMinute: 100 } });
    const before = many(10, () => process.call());
    await fleet.pass(59_900, 100);
    process.store.isSilent = true;
    const during = many(5, () => process.call());
    await fleet.pass(2_500, 100);
    assert.deepEqual([begun(before), begun(during)], [10, 0], "though what was used before has aged out");
    process.store.isSilent = false;
    await fleet.pass(1_100, 100);
    assert.equal(begun(during), 5);
  });

  test("a process goes on, and whoever asks first afterwards is given nothing of what it uses", async () => {
    const fleet = gateFleet(database);
    const [one, two] = many(2, () => fleet.start({ limits: { requestsPerMinute: 100 } }));
    many(70, () => one!.call());
    many(30, () => two!.call());
    await fleet.pass(100, 20);
    for (const { store } of [one!, two!]) store.isSilent = true;
    const during = many(70, () => one!.call({ longestWaitMs: 1_000_000 }));
    await fleet.pass(62_050, 50);
    assert.equal(begun(during), 70);
    for (const { store } of [one!, two!]) store.isSilent = false;
    const after = many(100, () => two!.call());
    await fleet.pass(20, 20);
    assert.equal(begun(after), 0, "it is not known yet what the other did");
    await fleet.pass(5_000, 100);
    assert.equal(begun(after), 30);
  });

  test("a process that had no calls before makes none", async () => {
    const fleet = gateFleet(database);
    const process = fleet.start({ limits: { requestsPerMinute: 100 } });
    process.store.isSilent = true;
    const call = process.call();
    await fleet.pass(20_001, 1_000);
    assert.equal(codeOf(call), "model_gate_full");
  });
});
