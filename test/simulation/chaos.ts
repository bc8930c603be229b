/** What befalls processes and the database while customers work: deaths, pauses, releases, wrong clocks, outages. */
import { type Cluster, leaseMs } from "./cluster.ts";
import type { Faults } from "./faults.ts";
import type { World } from "./world.ts";

export interface Scene {
  readonly world: World;
  readonly faults: Faults;
  readonly cluster: Cluster;
}

const mostProcesses = 3;

/** Goes on until the faults are over. */
export async function befall(scene: Scene): Promise<void> {
  const { world, faults } = scene;
  while (!faults.over) {
    await world.sleep(world.between(100, 900));
    if (faults.strikes("death")) die(scene);
    if (faults.strikes("pause")) pause(scene);
    if (faults.strikes("release")) await releaseNext(scene);
    if (faults.strikes("clockJump")) jump(scene);
    if (faults.strikes("outage")) goAway(scene);
    if (faults.strikes("modelOutage")) loseModels(scene);
    keepUp(scene);
  }
}

/** All that is wrong is put right: the database is back, and at least two processes of the newest release live. */
export function mend(scene: Scene): void {
  const { world, faults, cluster } = scene;
  faults.end();
  cluster.server.isAway = false;
  world.trace(world.outside, "all faults are over");
  for (const process of cluster.living) {
    world.resume(process, world.chance(0.5));
  }
  for (const held of cluster.server.heldBack.slice()) held.letGo();
  for (let newest = cluster.serving.filter(({ release }) => release === 2).length; newest < 2; newest++)
    cluster.start(2);
}

function die({ world, cluster }: Scene): void {
  if (cluster.living.length > 0) cluster.kill(world.pick(cluster.living));
}

function pause({ world, cluster }: Scene): void {
  const running = cluster.living.filter(({ state }) => state === "running");
  if (running.length === 0) return;
  const process = world.pick(running);
  world.pause(process);
  world.trace(process, "stands still");
  const resume = (): void => world.resume(process, world.chance(0.5));
  const afterMs = leaseMs * world.pick([0.2, 0.5, 1.1, 1.6, 2.5]);
  world.plan({ owner: world.outside, afterMs, label: "", run: resume });
}

/** One process after the other is replaced by the next release. */
async function releaseNext({ world, cluster }: Scene): Promise<void> {
  const old = cluster.serving;
  cluster.start(2);
  if (old.length > 0) await Promise.race([cluster.stop(world.pick(old)), world.sleep(2_000)]);
}

function jump({ world, cluster }: Scene): void {
  if (world.chance(0.3)) {
    const byMs = world.pick([50, 500, 3_000]);
    cluster.server.aheadMs += byMs;
    world.trace(world.outside, `the database's clock jumps by ${byMs} ms`);
  } else if (cluster.living.length > 0) {
    const process = world.pick(cluster.living);
    process.aheadMs = world.pick([-60_000, -1_500, 0, 700, 30_000]);
    world.trace(process, `its clock is now wrong by ${process.aheadMs} ms`);
  }
}

function goAway({ world, cluster }: Scene): void {
  cluster.server.isAway = true;
  world.trace(world.outside, "the database goes away");
  const comeBack = (): void => {
    cluster.server.isAway = false;
  };
  world.plan({ owner: world.outside, afterMs: world.between(50, 1_500), label: "", run: comeBack });
}

function loseModels({ world, faults }: Scene): void {
  faults.modelsAreAway = true;
  world.trace(world.outside, "no model answers");
  const comeBack = (): void => {
    faults.modelsAreAway = false;
  };
  world.plan({ owner: world.outside, afterMs: world.between(1_000, 4_000), label: "", run: comeBack });
}

function keepUp({ world, cluster }: Scene): void {
  if (cluster.living.length === 0 || (cluster.living.length < mostProcesses && world.chance(0.4))) {
    cluster.start(cluster.all.some(({ release }) => release === 2) || world.chance(0.3) ? 2 : 1);
  }
}
