/**
 * kill -9 of a real process at every point of a task's life, on both stores: before, while and after each write, before and
 * after each effect. The points are not listed here: a run that is let live tells where it could have died.
 *
 * Each process first brings to an end what the killed one before it left, then begins a round of its own and dies in it.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Database } from "../../src/store/database.ts";
import { openPglite } from "../../src/store/pglite.ts";
import { openPostgres } from "../../src/store/postgres.ts";
import { checkInvariants } from "../support/crash-invariants.ts";
import { openLog } from "../support/crash-scenario.ts";
import { createServerDatabase } from "../support/databases.ts";
import { runRounds } from "../support/killed-process.ts";

/** So many processes at once, each on a store of its own. */
const lanes = 2;
const server = await createServerDatabase();
await server?.drop();

describe(
  "kill -9 at every crash point loses nothing, doubles nothing and keeps the order",
  { concurrency: true },
  () => {
    let directory: string;
    before(async () => {
      directory = await mkdtemp(join(tmpdir(), "holdfast-crash-"));
    });
    after(() => rm(directory, { recursive: true }));

    test("on PGlite", () =>
      playEverywhere((lane) => {
        const store = join(directory, `data-${lane}`);
        return Promise.resolve({
          store,
          log: join(directory, `log-${lane}`),
          leaseMs: 5_000,
          open: () => openPglite({ dataDir: store }),
          drop: () => Promise.resolve(),
          // Its calls block the process: there is nothing between before and after.
          hasPoint: (point) => !point.endsWith(": under way"),
        });
      }));

    test("on PostgreSQL", { skip: server === undefined && "there is no server" }, () =>
      playEverywhere(async (lane) => {
        const { url, drop } = (await createServerDatabase())!;
        const log = join(directory, `log-on-server-${lane}`);
        return { store: url, log, leaseMs: 1_000, open: () => openPostgres({ url }), drop, hasPoint: () => true };
      }),
    );
  },
);

interface Place {
  readonly store: string;
  readonly log: string;
  readonly leaseMs: number;
  readonly open: () => Promise<Database>;
  readonly drop: () => Promise<void>;
  readonly hasPoint: (point: string) => boolean;
}

async function playEverywhere(makePlace: (lane: number) => Promise<Place>): Promise<void> {
  const places = await Promise.all(Array.from({ length: lanes }, (_, lane) => makePlace(lane)));
  const [first] = places;
  const { hasPoint } = first!;
  const met = await runRounds("crash", { ...first!, unfinished: [], round: "alive", dieAt: null });
  const points = met!.filter(hasPoint);
  assertCovers(points);
  const survived = await Promise.all(
    places.map(async (place, lane) =>
      playLane(
        place,
        points.filter((_, index) => index % lanes === lane),
      ),
    ),
  );
  // Two calls of one turn end together or one after the other: one of their points may not be met.
  assert.ok(survived.flat().length <= 3, `not reached: ${survived.flat().join("; ")}`);
}

/** @returns the points that were not reached */
async function playLane(place: Place, points: readonly string[]): Promise<string[]> {
  const survived: string[] = [];
  let unfinished: string[] = [];
  for (const dieAt of points) {
    const round = `die ${dieAt}`.replaceAll("/", "");
    const lived = (await runRounds("crash", { ...place, unfinished, round, dieAt })) !== undefined;
    if (lived) survived.push(dieAt);
    unfinished = lived ? [] : [round];
  }
  await runRounds("crash", { ...place, unfinished, round: "last", dieAt: null });
  const database = await place.open();
  try {
    await checkInvariants(database, openLog(place.log).read(), points.length + 1);
  } finally {
    await database.close();
    await place.drop();
  }
  return survived;
}

function assertCovers(points: readonly string[]): void {
  const expected = ["submit of", "entries up to 1 of first", "answer", "effect look", "effect note", "effect pay"];
  for (const part of [...expected, "effect send", "entries up to 5 of second"]) {
    for (const moment of ["before", "after"]) {
      assert.ok(
        points.some((point) => point.startsWith(part) && point.endsWith(moment)),
        `${part}: ${moment}`,
      );
    }
  }
}
