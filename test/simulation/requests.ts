/** How customers ask a service of which any process may be dead. */
import type { Holdfast } from "../../src/holdfast.ts";
import { ConflictError, NotFoundError, UnavailableError } from "../../src/platform/errors.ts";
import { StoreError } from "../../src/store/store-error.ts";
import type { Scene } from "./chaos.ts";
import { ConnectionLost } from "./cluster.ts";
import type { SimulatedProcess } from "./simulated-process.ts";

/** Asks once. @returns undefined when it was refused, or nobody knows and it must not be asked twice */
export async function command<Result>(
  scene: Scene,
  what: string,
  run: (holdfast: Holdfast) => Promise<Result>,
): Promise<Result | undefined> {
  try {
    return await scene.cluster.request(await choose(scene), what, run);
  } catch (error) {
    if (error instanceof NotFoundError || error instanceof ConflictError || mayTryAgain(error)) return undefined;
    if ((error as { code?: string }).code === "no_such_step") return undefined;
    throw error;
  }
}

/** A process that serves this agent; waits until there is one. */
export async function choose({ world, cluster }: Scene, agent?: string): Promise<SimulatedProcess> {
  for (;;) {
    const able = cluster.serving.filter(({ holdfast }) => agent === undefined || holdfast?.engine.agents.has(agent));
    // A load balancer does not know of a death at once.
    const dead = cluster.all.filter(({ state }) => state === "gone");
    if (able.length > 0) return world.chance(0.05) && dead.length > 0 ? world.pick(dead) : world.pick(able);
    await world.sleep(world.between(50, 300));
  }
}

export function mayTryAgain(error: unknown): boolean {
  return error instanceof ConnectionLost || error instanceof StoreError || error instanceof UnavailableError;
}
