import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { testDatabases } from "../../test/support/databases.ts";
import { atTimeOf } from "../../test/support/running-holdfast.ts";
import { systemClock } from "../platform/clock.ts";
import { systemId } from "../platform/ids.ts";
import type { Database } from "./database.ts";
import { createGates } from "./gates.ts";
import type { GateAnswer, GateAsk, GateNews } from "./queries/gate.ts";

const window = { windowMs: 60_000, bucketMs: 1_000, buckets: 62, burst: 1 };
const noCaps = { concurrent: null, requests: null, tokens: null };
const idle = { window, inFlight: 0, adjustments: [], news: null };
const unknown = { requests: null, tokens: null };
const noNews = { ...unknown, counted: unknown, usedAtGrant: { requests: 0, tokens: 0 }, refused: null };
const start = 1_800_000_000_000;

for (const { name, open } of await testDatabases()) {
  describe(`a gate on ${name}`, () => {
    let database: Database;
    let gates: ReturnType<typeof createGates>;
    let now = start;
    let gate = "";
    before(async () => {
      database = await open();
      gates = createGates(atTimeOf({ ...systemClock, now: () => now }, database));
    });
    beforeEach(() => {
      now = start;
      gate = `openai/gpt-5#${systemId()}`;
    });
    after(() => database.close());

    /** A process that asks. */
    const asking = (caps: Partial<GateAsk["caps"]>) => {
      const process = systemId();
      return (wanted: readonly number[], more: Partial<GateAsk> = {}): Promise<GateAnswer> =>
        gates.askGate({ ...idle, gate, process, wanted, caps: { ...noCaps, ...caps }, ...more });
    };
    /** Time passes in which somebody asks now and then, as where calls are made. */
    const elapse = async (ms: number): Promise<void> => {
      const somebody = asking({});
      for (let left = ms; left > 0; left -= 1_000) {
        now += Math.min(left, 1_000);
        await somebody([]);
      }
    };
    const times = (count: number, tokens = 1): number[] => Array.from({ length: count }, () => tokens);
    const news = (more: Partial<GateNews>): GateNews => ({ ...noNews, ...more });
    const refusal = (grantedAt: number, blockMs = 0) => news({ refused: { grantedAt, blockMs } });

    test("grants as many requests as fit into the window, and says when the next one does", async () => {
      const ask = asking({ requests: 5 });
      const first = await ask(times(3));
      assert.deepEqual([first.granted, first.usedRequests, first.againMs], [3, 3, null]);
      await elapse(10_400);
      const second = await ask(times(4));
      assert.deepEqual([second.granted, second.limitRequests, second.waiting], [2, 5, 1]);
      // The three of the first second count in 62 of them.
      assert.equal(second.againMs, 62_000 - 10_400);
      await elapse(51_599);
      assert.equal((await ask(times(2))).granted, 0);
      now += 1;
      assert.equal((await ask(times(4))).granted, 3);
    });

    test("grants tokens in the order asked for, none behind a call that does not fit", async () => {
      const ask = asking({ tokens: 1_000 });
      const answer = await ask([300, 500, 400, 1]);
      assert.deepEqual([answer.granted, answer.grantedTokens, answer.usedTokens], [2, 800, 800]);
      assert.equal((await ask([200])).granted, 1);
    });

    test("a call that asks for more than the whole limit is let through alone", async () => {
      const ask = asking({ tokens: 1_000 });
      assert.equal((await ask([1])).granted, 1);
      assert.equal((await ask([5_000])).granted, 0);
      await elapse(62_000);
      const answer = await ask([5_000, 1]);
      assert.deepEqual([answer.granted, answer.grantedTokens], [1, 1_000]);
    });

    test("nobody stands back for a call that would wait in vain", async () => {
      const [one, two] = [asking({ tokens: 1_000 }), asking({ tokens: 1_000 })];
      await one([600]);
      now += 1_000;
      const answer = await one([900, 100, 750, 100]);
      assert.deepEqual([answer.granted, answer.grantedTokens, answer.reachTokens], [2, 200, 700]);
      assert.deepEqual([answer.againMs, answer.waiting], [1_000, 0]);
      const other = await two([150]);
      assert.deepEqual([other.granted, other.reachTokens], [1, null]);
      await elapse(61_000);
      const later = await one([900, 600]);
      assert.deepEqual([later.granted, later.reachTokens], [0, null], "it is near enough, and the others wait for it");
    });

    test("what a call did not use is given back to the second it was granted in", async () => {
      const ask = asking({ tokens: 1_000 });
      const { bucket } = await ask([900]);
      await elapse(30_000);
      const answer = await ask([700], { adjustments: [{ bucket, requests: 0, tokens: -700 }] });
      assert.deepEqual([answer.granted, answer.usedTokens], [1, 900]);
      await elapse(32_000);
      assert.equal((await ask([])).usedTokens, 700);
    });

    test("after a silence what counted before it goes on counting for a moment, as others may not have told all", async () => {
      const [one, two] = [asking({ requests: 5 }), asking({ requests: 5 })];
      assert.equal((await one(times(4))).granted, 4);
      now += 70_000;
      const back = await two(times(3));
      assert.deepEqual([back.granted, back.usedRequests, back.againMs], [1, 5, 2_500]);
      // The other one made two calls in the meantime, and is still at it.
      const bucket = Math.floor((now - 5_000) / 1_000);
      now += 1_000;
      await one([], { adjustments: [{ bucket, requests: 2, tokens: 0 }] });
      now += 1_500;
      const then = await two(times(3));
      assert.deepEqual([then.granted, then.usedRequests], [2, 5]);
    });

    test("calls under way count in all processes, until one is not heard of any more", async () => {
      const [one, two] = [asking({ concurrent: 4 }), asking({ concurrent: 4 })];
      assert.equal((await one(times(3))).granted, 3);
      now += 1_000;
      const answer = await two(times(3));
      assert.deepEqual([answer.granted, answer.againMs], [1, 250]);
      assert.equal((await one([], { inFlight: 2 })).granted, 0);
      assert.equal((await two([1], { inFlight: 1 })).granted, 1);
      now += 15_001;
      assert.equal((await two(times(5), { inFlight: 2 })).granted, 2);
    });

    test("processes that wait are served in turn, and nobody takes more than an equal part", async () => {
      const [one, two, three] = [asking({ requests: 30 }), asking({ requests: 30 }), asking({ requests: 30 })];
      assert.equal((await one(times(30))).granted, 30);
      for (let second = 0; second < 61; second++) {
        now += 1_000;
        for (const ask of [one, two, three]) assert.equal((await ask(times(40))).granted, 0);
      }
      now += 1_000;
      const first = await one(times(40));
      assert.deepEqual([first.granted, first.waiting, first.againMs], [10, 3, 50], "a third, and soon again");
      const granted = [(await two(times(40))).granted, (await three([1])).granted, (await one([1])).granted];
      assert.deepEqual(granted, [7, 1, 1]);
    });

    test("a large call is not overtaken for ever by another process's small ones", async () => {
      const [large, small] = [asking({ tokens: 100 }), asking({ tokens: 100 })];
      await small([60]);
      assert.equal((await large([65])).granted, 0);
      for (let second = 0; second < 61; second++) {
        now += 1_000;
        assert.equal((await large([65])).granted, 0);
        assert.equal((await small([10])).granted, 0, "what frees up is kept for the one that waits longer");
      }
      now += 1_000;
      assert.equal((await large([65])).granted, 1);
      assert.equal((await small([10])).granted, 1);
    });

    test("limits of the provider's headers hold for all processes, up to those configured", async () => {
      const ask = asking({});
      assert.equal((await ask(times(100))).granted, 100);
      await ask([], { news: news({ requests: 120, tokens: 5_000 }) });
      const answer = await asking({})(times(100));
      assert.deepEqual([answer.granted, answer.limitRequests, answer.limitTokens], [20, 120, 5_000]);
      assert.equal((await asking({ requests: 50 })([])).limitRequests, 50);
      assert.equal((await gates.lookAtGate(gate)).known, true);
      assert.deepEqual(await gates.lookAtGate("other"), { known: false, now });
    });

    test("a refusal takes the limit to nine tenths of what was in use, once for one overload, and it rises again", async () => {
      const ask = asking({ requests: 100 });
      const { now: grantedAt } = await ask(times(80));
      now += 100;
      assert.equal((await ask([], { news: refusal(grantedAt) })).limitRequests, 72);
      assert.equal((await ask([], { news: refusal(grantedAt) })).limitRequests, 72);
      now += 60_000;
      assert.equal((await ask([])).limitRequests, 77);
      now += 6 * 60_000;
      const later = await ask(times(10));
      assert.equal(later.limitRequests, 100);
      assert.equal((await ask([], { news: refusal(later.now) })).limitRequests, 50, "never to less than a half");
    });

    test("where no limit is known a refusal sets it to nine tenths of what was in use, by all", async () => {
      const [one, two] = [asking({}), asking({})];
      const { bucket, now: grantedAt } = await one(times(40));
      assert.equal((await one([], { news: refusal(grantedAt) })).limitRequests, 36);
      // Another process was refused, too, and tells of the calls that nobody had counted.
      const adjustments = [{ bucket, requests: 60, tokens: 60 }];
      assert.equal((await two([], { adjustments, news: refusal(grantedAt) })).limitRequests, 90);
      now += 60 * 60_000;
      assert.equal((await one([])).limitRequests, 390, "it grows as long as nobody is refused");
    });

    test("a refusal blocks the gate for as long as the provider asks", async () => {
      const ask = asking({ requests: 100 });
      const { now: grantedAt } = await ask([1]);
      const answer = await ask([1], { news: refusal(grantedAt, 20_000) });
      assert.deepEqual([answer.granted, answer.blockedForMs, answer.againMs], [0, 20_000, 20_000]);
      now += 20_000;
      assert.equal((await ask([1])).granted, 1);
    });

    test("what the provider counts beyond what we do is kept free, and forgotten in a window", async () => {
      const ask = asking({ requests: 100 });
      await ask(times(10));
      const counted = { requests: 60, tokens: null };
      const answer = await ask(times(100), { news: news({ counted, usedAtGrant: { requests: 10, tokens: 10 } }) });
      assert.deepEqual([answer.granted, answer.foreign], [40, true]);
      now += 30_000;
      assert.equal((await ask(times(100))).granted, 25);
      const none = news({ counted: { requests: 75, tokens: null } });
      assert.equal((await ask(times(100), { news: none })).granted, 25);
    });

    test("what is free goes out over some buckets, and never more than the limit", async () => {
      const paced = { window: { ...window, burst: 1 / 8 } };
      const ask = asking({ requests: 600, tokens: 6_000 });
      const first = await ask(times(500), paced);
      assert.deepEqual([first.granted, first.againMs], [75, 1_000]);
      assert.equal((await ask(times(500), paced)).granted, 0);
      now += 1_000;
      assert.equal((await ask(times(500), paced)).granted, 66);
      let granted = 141;
      for (let second = 2; second < 62; second++) {
        now += 1_000;
        granted += (await ask(times(500), paced)).granted;
      }
      assert.equal(granted, 600);
      now += 1_000;
      const again: number[] = [];
      for (let second = 0; second < 4; second++) {
        again.push((await ask(times(500), paced)).granted);
        now += 1_000;
      }
      assert.deepEqual(again, [57, 66, 58, 51], "of the 75, 66, 58 and 51 that aged out");
    });

    test("tokens go out at the pace of the calls that they are enough for", async () => {
      const paced = { window: { ...window, burst: 1 / 8 } };
      const ask = asking({ tokens: 60_000 });
      const { granted, bucket } = await ask(times(200, 1_000), paced);
      assert.equal(granted, 8, "an eighth of sixty calls");
      const adjustments = [{ bucket, requests: 0, tokens: -8 * 900 }];
      assert.equal((await ask(times(200, 1_000), { ...paced, adjustments })).granted, 59, "at a tenth of the price");
    });

    test("rows that count no more are deleted", async () => {
      const ask = asking({ requests: 1_000 });
      for (let second = 0; second < 200; second++) {
        await ask([1]);
        now += 1_000;
      }
      const rows = await database.query({ text: "select from gate_grant where gate = $1", values: [gate] });
      assert.ok(rows.length <= 63, `${rows.length} rows`);
    });
  });
}
