/**
 * The customers: they submit (again, when they were not answered), watch, cancel, fork, set dead letters going again, and
 * look where they should not. What they were told is written down.
 */
import type { TaskRequest } from "../../src/engine/task-request.ts";
import { ConflictError } from "../../src/platform/errors.ts";
import type { Desk } from "./humans.ts";
import { choose, command, mayTryAgain } from "./requests.ts";
import { promptOf, type Script, type Scripts } from "./scripts.ts";
import { watch } from "./watchers.ts";

export interface Market extends Desk {
  readonly scripts: Scripts;
}

/** In whose name a customer acts upon a task of theirs. */
export const customer = "a customer";

interface Order {
  readonly tenant: string;
  readonly session: string;
  readonly script: Script;
  readonly key: string | null;
  readonly agent: string;
  readonly priority: number;
}

/** One customer with one request, from its submission to its end, and what comes to their mind meanwhile. */
export async function beCustomer(market: Market, order: Order): Promise<void> {
  const { world } = market;
  await world.sleep(world.between(0, 2_000));
  const submits = [submit(market, order)];
  if (order.key !== null && world.chance(0.3)) submits.push(submit(market, order));
  if (order.key !== null && world.chance(0.1)) submits.push(submitAnother(market, order));
  const [taskId] = await Promise.all(submits);
  if (taskId === undefined) return;
  const address = { tenant: order.tenant, taskId };
  await Promise.all([
    follow(market, address, { order, lives: 1 }),
    ...(world.chance(0.25) ? [watch(market, address)] : []),
    ...(world.chance(0.3) ? [cancel(market, address)] : []),
    ...(world.chance(0.2) ? [fork(market, address, order)] : []),
    ...(world.chance(0.2) ? [lookAround(market, address)] : []),
  ]);
}

/** @returns the task, or undefined when nobody knows and it cannot be asked again */
async function submit(market: Market, order: Order): Promise<string | undefined> {
  const { world, told } = market;
  const { tenant, session, script, key } = order;
  for (;;) {
    await world.sleep(world.between(0, 100));
    const process = await choose(market, order.agent);
    try {
      const { task } = await market.cluster.request(process, `take ${script.name}`, ({ engine }) =>
        engine.submit(tenant, requestOf(order)),
      );
      told.accepted.push({ tenant, session, key, script: script.name, taskId: task.taskId });
      return task.taskId;
    } catch (error) {
      if (error instanceof ConflictError) return undefined;
      if (!mayTryAgain(error)) throw error;
      if (key === null) return undefined;
    }
  }
}

/** Another request under the same key: one of the two is refused. */
async function submitAnother(market: Market, order: Order): Promise<string | undefined> {
  return submit(market, { ...order, script: market.scripts.write(order.tenant, order.session) });
}

function requestOf({ script, session, key, agent, priority }: Order): TaskRequest {
  return {
    prompt: promptOf(script),
    agent,
    priority,
    sessionId: session,
    ...(key !== null && { idempotencyKey: key }),
  };
}

interface Address {
  readonly tenant: string;
  readonly taskId: string;
}

/** Stays with a task until it has ended; a dead letter may get another life. */
async function follow(market: Market, address: Address, life: { order: Order; lives: number }): Promise<void> {
  const result = await watch(market, address);
  if (result?.status !== "failed" || life.lives >= 3 || market.world.chance(0.4)) return;
  const script = market.world.chance(0.5) ? market.scripts.write(life.order.tenant, life.order.session) : null;
  const replayed = await command(market, `replay ${address.taskId.slice(-4)}`, ({ engine }) =>
    engine.replay(address, { prompt: script && promptOf(script), by: customer }),
  );
  if (replayed !== undefined) await follow(market, address, { ...life, lives: life.lives + 1 });
}

async function cancel(market: Market, address: Address): Promise<void> {
  await market.world.sleep(market.world.between(0, 2_000));
  const answer = await command(market, `cancel ${address.taskId.slice(-4)}`, ({ engine }) =>
    engine.cancel(address, customer),
  );
  if (answer !== undefined) market.told.cancelled.push({ taskId: address.taskId, at: market.world.elapsed });
}

async function fork(market: Market, address: Address, order: Order): Promise<void> {
  const { world, told, scripts } = market;
  await world.sleep(world.between(0, 5_000));
  const script = scripts.write(order.tenant, order.session);
  const step = world.pick([null, null, 0, 1]);
  const forked = await command(market, `fork ${address.taskId.slice(-4)}`, ({ engine }) =>
    engine.fork(address, { step, prompt: promptOf(script), model: null }),
  );
  if (forked === undefined) return;
  told.forked.push({ taskId: forked.taskId });
  await watch(market, { tenant: order.tenant, taskId: forked.taskId });
}

/** Tries ids of another tenant, and looks through the lists of its own. */
async function lookAround(market: Market, { taskId, tenant }: Address): Promise<void> {
  const { world, told, tenants } = market;
  const stranger = world.pick([...tenants, "nobody"].filter((each) => each !== tenant));
  for (let looks = 0; looks < 3; looks++) {
    await world.sleep(world.between(0, 2_000));
    const address = { tenant: stranger, taskId };
    const seen = await command(market, `show ${stranger} a task of ${tenant}`, ({ engine }) =>
      world.pick<() => Promise<unknown>>([
        () => engine.task(address),
        () => engine.journal({ ...address, afterSeq: 0, limit: 10 }),
        () => engine.cancel(address, stranger),
        () => engine.fork(address, { step: null, prompt: null, model: null }),
      ])(),
    );
    if (seen !== undefined) told.leaks.push(`${stranger} was let at task ${taskId} of ${tenant}`);
    const listed = await command(market, `list tasks of ${tenant}`, ({ engine }) =>
      engine.tasks({ tenant, limit: 50 }),
    );
    for (const row of listed ?? []) {
      if (row.tenant !== tenant) told.leaks.push(`${tenant} was listed task ${row.id} of ${row.tenant}`);
    }
  }
}
