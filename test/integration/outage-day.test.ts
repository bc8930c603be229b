/**
 * A day on which the primary vendor refuses, breaks, hangs, is slow and comes back, while the second one is well: over real
 * HTTP through the provider packages with every number computed by hand, and with a thousand tasks on virtual time.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { plainRoute } from "../../src/agent/route.ts";
import { createModelGateway, type GatewayObserver } from "../../src/gateway/gateway.ts";
import type { ModelReply, ModelRequest } from "../../src/gateway/model-gateway.ts";
import { createProviders } from "../../src/gateway/providers/registry.ts";
import { neverAborts } from "../../src/platform/abort.ts";
import { openPglite } from "../../src/store/pglite.ts";
import type { Database } from "../../src/store/database.ts";
import { startMockProvider, type MockStep } from "../../src/testing/mock-provider.ts";
import { createVirtualClock, type VirtualClock } from "../../src/testing/virtual-clock.ts";
import { migratedSnapshot } from "../support/databases.ts";
import { turnsOfTheLoop } from "../support/event-loop.ts";
import { someCaller } from "../support/model-caller.ts";
import { after as later, fails, openGateway, says, type Behaviour } from "../support/model-behaviours.ts";
import { atTimeOf, journalOf, passTime, startHoldfast } from "../support/running-holdfast.ts";

const primary = "openai/gpt-5";
const second = "anthropic/claude-sonnet-4-6";
const usage = { input: 1_000, output: 100 };

/** Lets real bytes travel while virtual time stands, and moves it on only when nothing has happened for a while. */
async function settle<T>(clock: VirtualClock, promise: Promise<T>, travelling: () => boolean): Promise<T> {
  let ended = false;
  const done = promise.finally(() => (ended = true));
  done.catch(() => {});
  for (let idle = 0; !ended;) {
    await turnsOfTheLoop(20);
    idle = travelling() ? 0 : idle + 1;
    if (idle >= 5) await clock.advance(500);
  }
  return done;
}

/** A gateway whose primary does what the day's phase says, and what is seen of it. */
async function openDay() {
  const clock = createVirtualClock();
  const day = { phase: { text: "Primary.", usage } as MockStep, costMicros: 0 };
  let open = 0;
  const server = await startMockProvider({
    clock,
    script: async ({ format }) => {
      const step = format === "openai-responses" ? day.phase : ({ text: "Second.", usage } satisfies MockStep);
      open += "fault" in step && step.fault === "hang" ? 0 : 1;
      return step;
    },
  });
  const at = { apiKey: "test", baseURL: `${server.url}/v1` };
  const changes: string[] = [];
  const observer: GatewayObserver = {
    overhead() {},
    retried() {},
    hedged() {},
    breaker: (model, state) => void changes.push(`${clock.now() / 1_000} s ${model === primary ? state : "?"}`),
  };
  const providers = createProviders({ openai: at, anthropic: at });
  const gateway = createModelGateway({ providers, clock, random: () => 0, observer });
  const request: Omit<ModelRequest, "signal"> = {
    route: plainRoute([primary, second]),
    system: "",
    messages: [{ role: "user", text: "Hi" }],
    tools: [],
    maxOutputTokens: 100,
    caller: someCaller,
    onDelta: () => {},
  };
  const call = async (): Promise<ModelReply> => {
    let seen = -1;
    const moved = (): boolean => {
      const now = server.requests.length + open;
      const changed = now !== seen;
      seen = now;
      return changed;
    };
    const reply = await settle(clock, gateway.call({ ...request, signal: neverAborts() }), moved);
    day.costMicros += reply.costMicros ?? Number.NaN;
    return reply;
  };
  const asked = (): number => server.requests.filter(({ format }) => format === "openai-responses").length;
  const models: string[] = [];
  const calls = async (count: number): Promise<number> => {
    const before = asked();
    for (let made = 0; made < count; made++) models.push((await call()).model);
    return asked() - before;
  };
  return { day, clock, server, changes, models, call, calls };
}

test("over HTTP: who answers, how often the primary is asked, when its breaker changes, and what it costs", async () => {
  const { day, clock, server, changes, models, call, calls } = await openDay();
  assert.equal(await calls(2), 2, "it is well");
  day.phase = { fault: "status", status: 429, retryAfter: 2 };
  assert.equal(await calls(2), 6, "three attempts each, 2 s apart: a rate limit says nothing of health");
  assert.equal(changes.length, 0);
  day.phase = { fault: "status", status: 500 };
  assert.equal(await calls(10), 5, "three attempts, then two, then the breaker is open");
  const openedAt = clock.now();
  assert.equal(changes.join(), `${openedAt / 1_000} s open`);
  await clock.advance(15_000);
  day.phase = { fault: "hang" };
  assert.equal(await calls(3), 1, "one probe, which hangs for the time to connect; the others do not wait for it");
  assert.deepEqual(
    changes.slice(1).map((change) => change.split(" ").at(-1)),
    ["half_open", "open"],
  );
  await clock.advance(29_000);
  assert.equal(await calls(1), 0, "it stays open for 30 s now");
  await clock.advance(1_000);
  day.phase = { text: "Slow.", usage, latencyMs: 20_000 };
  assert.equal(await calls(1), 1, "slow is not out");
  day.phase = { text: "Primary.", usage };
  assert.equal(await calls(3), 3, "it is back");
  assert.deepEqual(
    changes.map((change) => change.split(" ").at(-1)),
    ["open", "half_open", "open", "half_open", "closed"],
  );
  const answered = [...models].filter((model) => model === primary).length;
  assert.deepEqual([answered, models.length], [2 + 1 + 3, 22]);
  // A thousand tokens in and a hundred out: 1.25 and 10 dollars a million of the one, 3 and 15 of the other.
  assert.equal(day.costMicros, answered * (1_250 + 1_000) + (22 - answered) * (3_000 + 1_500));

  day.phase = {
    fault: "status",
    status: 400,
    body: { error: { code: "content_policy_violation", message: "content policy" } },
  };
  const before = server.requests.length;
  await assert.rejects(call(), { code: "model_content_policy" });
  assert.equal(server.requests.length - before, 1, "what the policy refuses is asked once, of one vendor");
  await server.close();
});

let database: Database;
before(async () => {
  database = await openPglite({ dataDir: "memory", snapshot: await migratedSnapshot() });
});
after(() => database.close());

const minute = 60_000;

test("a thousand tasks over the day: all finish, those of the night when both vendors are down as well", async () => {
  const start = Date.UTC(2026, 0, 1);
  const clock = createVirtualClock(start);
  const now = (): number => clock.now() - start;
  const hang: Behaviour = (signal) =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  /** What the primary does, until when. */
  const day: [until: number, Behaviour][] = [
    [10 * minute, fails(429, { "retry-after": "5" })],
    [20 * minute, fails(500)],
    [30 * minute, hang],
    [40 * minute, later(3_000, says("Slow"))],
    [60 * minute, says("Primary")],
    // Both vendors are down for five hours.
    [360 * minute, fails(503)],
    [Number.POSITIVE_INFINITY, says("Primary")],
  ];
  const primaryDoes: Behaviour = (signal, time) => day.find(([until]) => now() < until)![1](signal, time);
  const secondDoes: Behaviour = (signal, time) =>
    (now() >= 60 * minute && now() < 360 * minute ? fails(503) : later(200, says("Second")))(signal, time);
  const { gateway, asked } = openGateway(
    { [primary]: [primaryDoes], [second]: [secondDoes] },
    { clock, random: Math.random },
  );
  const holdfast = await startHoldfast(atTimeOf(clock, database), {
    script: [],
    agent: { model: [primary, second] },
    options: { parts: { clock, gateway }, tuning: { leaseMs: 1e12, pollMs: 5_000 } },
  });
  const tasks: { readonly id: string; result(options: { waitMs: number }): Promise<{ status: string }> }[] = [];
  const submit = async (count: number): Promise<void> => {
    tasks.push(...(await Promise.all(Array.from({ length: count }, () => holdfast.submit({ prompt: "Hello" })))));
  };
  const counts = async (): Promise<Record<string, number>> => {
    const states = await Promise.all(tasks.map((task) => task.result({ waitMs: 0 })));
    return Object.fromEntries(
      [...Map.groupBy(states, ({ status }) => status)].map(([status, of]) => [status, of.length]),
    );
  };
  const until = (condition: (states: Record<string, number>) => boolean, stepMs: number) =>
    passTime({ clock, database, stepMs }, async () => condition(await counts()));
  for (let wave = 0; wave < 6; wave++) {
    await clock.advance(Math.max(0, wave * 10 * minute - now()));
    await submit(150);
    await until(({ completed = 0 }) => completed === tasks.length, 2_000);
  }
  await clock.advance(Math.max(0, 61 * minute - now()));
  await submit(100);
  await until(({ waiting = 0 }) => waiting === 100, 2_000);
  const before = asked.length;
  await passTime({ clock, database, stepMs: 2 * minute }, async () => now() > 350 * minute);
  assert.equal((await counts())["completed"], 900);
  assert.ok(asked.length - before < 100 * 5, `${asked.length - before} calls in five hours of outage`);
  await until(({ completed = 0 }) => completed === 1_000, minute);
  const last = await journalOf(holdfast, tasks.at(-1)!.id);
  assert.equal(last.at(-1)?.kind, "end");
  await holdfast.stop();
});
