/** Processes of the airline's service beside one database, killed with SIGKILL and started again at once. */
import type { Tuning } from "../../../src/holdfast.ts";
import { type Clock, systemClock } from "../../../src/platform/clock.ts";
import type { Random } from "../../../src/platform/random.ts";
import { type Child, startChild } from "../child.ts";

export interface ServiceOptions {
  readonly providerUrl: string;
  readonly deskUrl: string;
  /** Null: the embedded database in `dataDir`. */
  readonly databaseUrl: string | null;
  readonly dataDir: string;
  readonly tuning: Partial<Tuning>;
}

export interface ServiceProcesses extends AsyncDisposable {
  /** The address of one that is up; waits until there is one. Rejects if one ended by itself. */
  url(): Promise<string>;
  /** Kills one after another, until the signal aborts or it was done often enough. */
  harass(signal: AbortSignal): Promise<void>;
  readonly kills: number;
  /** What they logged as errors. */
  errors(): string[];
}

const clock: Clock = systemClock;
/** From the moment a process is up to its end. */
const lifeMs = { least: 1_500, most: 3_000 };
/** Some do not live to see it: they are killed while they open the database, or take over what the last one left. */
const shortLife = { share: 0.2, mostMs: 800 };
/** Where it takes seconds to start, two kills in a row may leave no time to get anything done: there has to be an end. */
const mostKills = 12;

export function startServiceProcesses(count: number, options: ServiceOptions, random: Random): ServiceProcesses {
  const children: Child[] = [];
  const killed = new Set<Child>();
  /** The latest process of each place, and the addresses of those that are up. */
  const places: { child: Child; isUp: Promise<void> }[] = [];
  const up = new Map<number, string>();
  let change = Promise.withResolvers<void>();
  let kills = 0;

  function start(place: number): void {
    const child = startChild("airline-service", JSON.stringify(options));
    children.push(child);
    const isUp = child.line().then((url) => {
      if (killed.has(child)) return;
      up.set(place, url);
      change.resolve();
      change = Promise.withResolvers();
    });
    places[place] = { child, isUp: isUp.catch(() => {}) };
    child.done().catch((error: unknown) => {
      if (killed.has(child)) return;
      up.delete(place);
      change.reject(error);
    });
  }

  async function kill(place: number): Promise<void> {
    const child = places[place]?.child as Child;
    killed.add(child);
    // First, so that nobody is sent to a process that is about to die.
    up.delete(place);
    await child.kill();
  }

  for (let place = 0; place < count; place++) start(place);
  return {
    async url() {
      while (up.size === 0) await change.promise;
      return [...up.values()][Math.floor(random() * up.size)] as string;
    },
    async harass(signal) {
      while (!signal.aborted && kills < mostKills) {
        const place = Math.floor(random() * count);
        const isShort = random() < shortLife.share;
        if (!isShort) await places[place]?.isUp;
        const pauseMs = isShort ? random() * shortLife.mostMs : lifeMs.least + random() * (lifeMs.most - lifeMs.least);
        await clock.sleep(pauseMs, signal).catch(() => {});
        if (signal.aborted) return;
        await kill(place);
        kills += 1;
        start(place);
      }
    },
    get kills() {
      return kills;
    },
    errors: () =>
      children.flatMap((child) =>
        child
          .stderr()
          .split("\n")
          .filter((line) => / error /.test(line)),
      ),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(places.map((_, place) => kill(place)));
    },
  };
}
