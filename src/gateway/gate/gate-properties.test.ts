/**
 * Whatever calls come, however long they take and whatever they use, and though the store falls silent in between: no window
 * of time, wherever it begins, sees more than the limit arrive at the provider. fast-check prints the seed.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { testDatabases } from "../../../test/support/databases.ts";
import { gateFleet, plainEnd } from "../../../test/support/gate-fleet.ts";
import { useOfWindows, type Arrival } from "../../../test/support/limited-provider.ts";
import type { Database } from "../../store/database.ts";

const windowMs = 6_000;
const deliveryMs = 250;
const stepMs = 100;
const steps = 200;

interface PlannedCall {
  readonly atStep: number;
  readonly process: number;
  readonly tenant: string;
  readonly tokens: number;
  /** Of the tokens, in percent. */
  readonly used: number;
  readonly steps: number;
  readonly delayMs: number;
  /** The first of them all come at once. */
  readonly crowd: number;
}

const plannedCall: fc.Arbitrary<PlannedCall> = fc.record({
  atStep: fc.nat(steps - 1),
  process: fc.nat(2),
  tenant: fc.constantFrom("ada", "bob"),
  tokens: fc.integer({ min: 1, max: 300 }),
  used: fc.nat(100),
  steps: fc.nat(40),
  delayMs: fc.nat(deliveryMs),
  crowd: fc.integer({ min: 1, max: 8 }),
});

const plan = fc.record({
  limits: fc.record({
    requestsPerMinute: fc.integer({ min: 1, max: 40 }),
    tokensPerMinute: fc.integer({ min: 100, max: 2_000 }),
  }),
  burst: fc.constantFrom(1, 1 / 8),
  calls: fc.array(plannedCall, { minLength: 10, maxLength: 40 }),
  silentFrom: fc.nat(steps),
  silentSteps: fc.nat(120),
});

let database: Database;
before(async () => {
  database = await (await testDatabases())[0]!.open();
});
after(() => database.close());

test("no schedule of calls ever exceeds a limit in any window", { timeout: 110_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(plan, async ({ limits, burst, calls, silentFrom, silentSteps }) => {
      const fleet = gateFleet(database);
      const options = { limits, burst, windowMs, deliveryMs };
      const processes = [fleet.start(options), fleet.start(options), fleet.start(options)];
      const arrivals: Arrival[] = [];
      const ends = new Map<number, (() => void)[]>();
      let step = 0;
      const begin = async (planned: PlannedCall): Promise<void> => {
        const { tenant, tokens } = planned;
        const call = processes[planned.process]!.call({ tenant, tokens, longestWaitMs: 2 * windowMs });
        await call.over;
        if (call.pass === undefined) return;
        // A call that alone uses more than the limit exceeds it, whatever anybody does.
        const usedTokens = Math.min(limits.tokensPerMinute, Math.floor((tokens * planned.used) / 100));
        arrivals.push({ at: fleet.clock.monotonic() + planned.delayMs, tokens: usedTokens, refused: false });
        const due = step + planned.steps;
        ends.set(due, [...(ends.get(due) ?? []), () => call.pass?.leave({ ...plainEnd, usedTokens })]);
      };
      const begun: Promise<void>[] = [];
      for (; step < steps; step++) {
        const isSilent = step >= silentFrom && step < silentFrom + silentSteps;
        for (const { store } of processes) store.isSilent = isSilent;
        for (const planned of calls)
          if (planned.atStep === step) for (let one = 0; one < planned.crowd; one++) begun.push(begin(planned));
        for (const end of ends.get(step) ?? []) end();
        await fleet.pass(stepMs);
      }
      await fleet.pass(3 * windowMs, 500);
      await Promise.all(begun);
      const allowed = { windowMs, requests: limits.requestsPerMinute, tokens: limits.tokensPerMinute };
      arrivals.sort((a, b) => a.at - b.at);
      const use = useOfWindows(arrivals, allowed, { from: 0, to: Infinity });
      assert.ok(use.worstRequests <= 1 && use.worstTokens <= 1, JSON.stringify(use));
      for (const process of processes) await process.close();
    }),
    { numRuns: 6, endOnFailure: true },
  );
});
