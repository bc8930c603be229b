import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { firstTurn, type Turn } from "../store/queries/claim.ts";
import { turnAfter } from "./turns.ts";

const row = (tenant: string, place: number, quota = 1) => ({ tenant, place, quota });

test("a claim that served everybody ends the turn it began with", () => {
  assert.deepEqual(turnAfter({ tenant: "ada", left: 2 }, [row("bob", 1)], 5), { tenant: "ada", left: 0 });
  assert.deepEqual(turnAfter({ tenant: "ada", left: 0 }, [], 5), { tenant: "ada", left: 0 });
});

test("a claim that is full goes on behind the last tenant it served, or with what is left of its turn", () => {
  const full = [row("ada", 1), row("cy", 3, 4), row("bob", 2), row("cy", 3, 4)];
  assert.deepEqual(turnAfter(firstTurn, full, 4), { tenant: "cy", left: 2 });
  assert.deepEqual(turnAfter(firstTurn, full.slice(0, 1), 1), { tenant: "ada", left: 0 });
});

/** What a claim is, without a store: tenants in order from the turn on, each with whole rounds of its weight. */
function claim(
  { waiting, weights }: { waiting: Map<string, number>; weights: ReadonlyMap<string, number> },
  { turn, limit }: { turn: Turn; limit: number },
) {
  const names = [...waiting.keys()].filter((name) => waiting.get(name)! > 0).sort();
  const after = [...names.filter((name) => name > turn.tenant), ...names.filter((name) => name <= turn.tenant)];
  const lanes = turn.left > 0 ? [turn.tenant, ...after.filter((name) => name !== turn.tenant)] : after;
  const weightOf = (name: string): number => weights.get(name) ?? 1;
  const rounds = Math.max(1, Math.floor(limit / lanes.reduce((sum, name) => sum + weightOf(name), 0)));
  const rows: ReturnType<typeof row>[] = [];
  lanes.forEach((tenant, place) => {
    const quota = place === 0 && turn.left > 0 && rounds === 1 ? turn.left : weightOf(tenant) * rounds;
    const taken = Math.min(quota, waiting.get(tenant) ?? 0, limit - rows.length);
    waiting.set(tenant, (waiting.get(tenant) ?? 0) - taken);
    for (let nth = 0; nth < taken; nth++) rows.push(row(tenant, place, quota));
  });
  return rows;
}

test("whoever waits is served before any other has had two turns, whatever the weights, the crowds and the free slots", () => {
  const tenants = fc.uniqueArray(
    fc.record({
      name: fc.string({ minLength: 1, maxLength: 3 }),
      waiting: fc.integer({ min: 1, max: 60 }),
      weight: fc.integer({ min: 1, max: 5 }),
    }),
    { selector: ({ name }) => name, minLength: 2, maxLength: 8 },
  );
  const slots = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 5, maxLength: 40 });
  fc.assert(
    fc.property(tenants, slots, (each, limits) => {
      const weights = new Map(each.map(({ name, weight }) => [name, weight]));
      const waiting = new Map(each.map(({ name, waiting: count }) => [name, count]));
      /** Of each tenant that waits: what the others were given since it was served. */
      const passed = new Map(each.map(({ name }) => [name, new Map<string, number>()]));
      let turn = firstTurn;
      for (const limit of limits) {
        const rows = claim({ waiting, weights }, { turn, limit });
        turn = turnAfter(turn, rows, limit);
        const served = Map.groupBy(rows, ({ tenant }) => tenant);
        for (const [name, others] of passed) {
          if (served.has(name) || waiting.get(name) === 0) others.clear();
          else for (const [other, got] of served) others.set(other, (others.get(other) ?? 0) + got.length);
          for (const [other, got] of others) {
            assert.ok(got <= 2 * weights.get(other)!, `${other} got ${got} while ${name} waited`);
          }
        }
      }
    }),
  );
});
