/**
 * A day on which the primary vendor refuses, breaks, hangs, is slow and comes back, while the second one is well: over real
 * HTTP through the provider packages with every number computed by hand, and with a thousand tasks on virtual time, whose
 * ledger is held against the books of the vendors.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { LanguageModelV4CallOptions } from "@ai-sdk/provider";
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
import { after as later, fails, finish, openGateway, text, type Behaviour } from "../support/model-behaviours.ts";
import { atTimeOf, journalOf, passTime, startHoldfast, until } from "../support/running-holdfast.ts";
import { sql } from "../support/stored-tasks.ts";

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

/** What the vendors say they used for an answer, and what that is in micro-dollars by their price lists. */
const spent = { input: 1_000, cached: 400, output: 100 };
const answerMicros: Readonly<Record<string, number>> = {
  [primary]: 600 * 1.25 + 400 * 0.125 + 100 * 10,
  [second]: 600 * 3 + 400 * 0.3 + 100 * 15,
};
/** Of a stream that breaks off nobody says: a token for every four of the 84 characters of the request, and of the 31 that came. */
const broken = { input: 21, output: 8, micros: Math.ceil(21 * 1.25 + 8 * 10) };

/** One of fifty is what the vendors refuse. */
const prompt = (index: number): string => `${index % 50 === 7 ? "Wrong" : "Order"} ${String(index).padStart(4, "0")}.`;
const promptOf = (options?: LanguageModelV4CallOptions): string =>
  /(Order|Wrong) \d+\./.exec(JSON.stringify(options?.prompt))?.[0] ?? "";

interface Sums {
  calls: number;
  input: number;
  cached: number;
  output: number;
  micros: number;
}

/** The two vendors of the day, and their own books: of what they bill, of whom they refuse, of whom they saw. */
function vendorsOfTheDay(now: () => number) {
  const bills = new Map<string, Sums>();
  const refused: { readonly prompt: string; readonly asks: number }[] = [];
  const asked: { readonly model: string; readonly at: number; readonly prompt: string }[] = [];
  const bill = (name: string, { input, cached, output, micros }: Omit<Sums, "calls">): void => {
    const sums = bills.get(name) ?? { calls: 0, input: 0, cached: 0, output: 0, micros: 0 };
    sums.calls += 1;
    sums.input += input;
    sums.cached += cached;
    sums.output += output;
    sums.micros += micros;
    bills.set(name, sums);
  };
  const answers =
    (model: string): Behaviour =>
    (signal, clock, options) => {
      const given = promptOf(options);
      if (given.startsWith("Wrong")) {
        refused.push({ prompt: given, asks: asked.filter((each) => each.prompt === given).length });
        return fails(400, {}, "content_policy_violation")(signal, clock);
      }
      bill(model, { ...spent, micros: answerMicros[model]! });
      return [text("Answer"), { ...finish, usage: spentAsReported }];
    };
  const breaksOff: Behaviour = () => {
    bill(`${primary} model_stream_broken`, { ...broken, cached: 0 });
    return [text("Half")];
  };
  const seen =
    (model: string, behaviour: Behaviour): Behaviour =>
    (signal, clock, options) => {
      asked.push({ model, at: now(), prompt: promptOf(options) });
      return behaviour(signal, clock, options);
    };
  return { bills, refused, asked, answers, breaksOff, seen };
}

const spentAsReported = {
  inputTokens: { total: 1_000, noCache: 600, cacheRead: 400, cacheWrite: 0 },
  outputTokens: { total: 100, text: 70, reasoning: 30 },
};

/** What the primary does, until when. Of the five hours from 60 minutes on both vendors are down. */
function primaryOfTheDay({ answers, breaksOff }: ReturnType<typeof vendorsOfTheDay>, now: () => number): Behaviour {
  const hang: Behaviour = (signal) =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const well = answers(primary);
  const day: [until: number, Behaviour][] = [
    [10 * minute, fails(429, { "retry-after": "5" })],
    [20 * minute, fails(500)],
    [30 * minute, hang],
    [40 * minute, later(3_000, well)],
    [50 * minute, well],
    [60 * minute, breaksOff],
    [360 * minute, fails(503)],
    [Number.POSITIVE_INFINITY, well],
  ];
  return (signal, clock, options) => day.find(([until]) => now() < until)![1](signal, clock, options);
}

/** As it stands in the ledger: by model and, where a paid attempt came to nothing, why. */
async function ledgerSums(): Promise<Map<string, Sums>> {
  const rows = await database.query<Sums & { readonly name: string }>(
    sql(`select concat_ws(' ', model, code) as name, count(*)::int as calls, sum(input)::int as input,
                sum(cached)::int as cached, sum(output)::int as output, sum(cost_micros)::int as micros
         from usage group by 1`),
  );
  return new Map(rows.map(({ name, ...sums }) => [name, sums]));
}

const breakerOfTheDay = [
  // 150 errors at once; its 15 s are over long before the next task comes, which is the probe, and hangs for a minute.
  `600 s ${primary} open`,
  `1200 s ${primary} half_open`,
  `1260 s ${primary} open`,
  // Slow: the probe takes 3 s.
  `1800 s ${primary} half_open`,
  `1803 s ${primary} closed`,
  // 150 streams that break off at once.
  `3000 s ${primary} open`,
];

/** A gateway to the vendors of the day, and what is seen of it. */
function openThousand() {
  const start = Date.UTC(2026, 0, 1);
  const clock = createVirtualClock(start);
  const now = (): number => clock.now() - start;
  const vendors = vendorsOfTheDay(now);
  const isNight = (): boolean => now() >= 60 * minute && now() < 360 * minute;
  const secondIsWell = later(200, vendors.answers(second));
  const changes: string[] = [];
  const breaker = (model: string, state: string): void => void changes.push(`${now() / 1_000} s ${model} ${state}`);
  const { gateway } = openGateway(
    {
      [primary]: [vendors.seen(primary, primaryOfTheDay(vendors, now))],
      [second]: [vendors.seen(second, (...call) => (isNight() ? fails(503) : secondIsWell)(...call))],
    },
    { clock, observer: { overhead() {}, retried() {}, hedged() {}, breaker } },
  );
  return { clock, now, vendors, changes, gateway };
}

test("a thousand tasks over the day and a night with both vendors down: who answers, what is refused, what it costs", async () => {
  const { clock, now, vendors, changes, gateway } = openThousand();
  const holdfast = await startHoldfast(atTimeOf(clock, database), {
    script: [],
    agent: { model: [primary, second] },
    // All tasks of a wave run at once.
    config: { slots: 200 },
    options: { parts: { clock, gateway }, tuning: { leaseMs: 1e12, pollMs: 5_000 } },
  });
  const tasks: Awaited<ReturnType<typeof holdfast.submit>>[] = [];
  const submit = async (count: number): Promise<void> => {
    const prompts = Array.from({ length: count }, (_, index) => prompt(tasks.length + index));
    tasks.push(...(await Promise.all(prompts.map((each) => holdfast.submit({ prompt: each })))));
    // Time stands until each has come to a vendor.
    await until(() => {
      const there = new Set(vendors.asked.map((each) => each.prompt));
      return prompts.every((each) => there.has(each));
    });
  };
  const counts = async (): Promise<Record<string, number>> => {
    const states = await Promise.all(tasks.map((task) => task.result({ waitMs: 0 })));
    return Object.fromEntries(
      [...Map.groupBy(states, ({ status }) => status)].map(([status, of]) => [status, of.length]),
    );
  };
  const passUntil = (condition: (states: Record<string, number>) => boolean, stepMs: number) =>
    passTime({ clock, database, stepMs }, async () => condition(await counts()));
  const allEnded = ({ completed = 0, failed = 0 }): boolean => completed + failed === tasks.length;
  for (let wave = 0; wave < 6; wave++) {
    await clock.advance(Math.max(0, wave * 10 * minute - now()));
    await submit(150);
    await passUntil(allEnded, 2_000);
  }
  assert.deepEqual(changes.splice(0), breakerOfTheDay);
  await clock.advance(Math.max(0, 61 * minute - now()));
  const before = vendors.asked.length;
  await submit(100);
  await passUntil(({ waiting = 0 }) => waiting === 100, 2_000);
  await passTime({ clock, database, stepMs: 2 * minute }, async () => now() > 350 * minute);
  assert.deepEqual(await counts(), { completed: 882, failed: 18, waiting: 100 });
  const asked = vendors.asked.length - before;
  assert.ok(asked < 100 * 5, `${asked} calls in five hours of outage`);
  await passUntil(allEnded, minute);
  checkNight(changes, vendors.asked.slice(before));
  await checkRefusals(vendors, tasks);
  assert.deepEqual(await ledgerSums(), vendors.bills);
  const last = await journalOf(holdfast, tasks.at(-1)!.id);
  assert.equal(last.at(-1)?.kind, "end");
  await holdfast.stop();
});

type Vendors = ReturnType<typeof vendorsOfTheDay>;

/** An open breaker lets one call through, which fails at once; it then stays open twice as long, up to five minutes. */
function checkNight(changes: readonly string[], asked: Vendors["asked"]): void {
  for (const [model, openedBefore, latencyMs] of [
    [primary, 50 * minute, 0],
    [second, 61 * minute, 200],
  ] as const) {
    const times = asked.filter((each) => each.model === model).map(({ at }) => at);
    const probes = times.filter((at) => at > openedBefore && at < 360 * minute);
    const morning = times.find((at) => at >= 360 * minute);
    const at = (ms: number, state: string): string => `${ms / 1_000} s ${model} ${state}`;
    assert.deepEqual(
      changes.filter((change) => change.includes(model)),
      [
        ...(model === second ? [at(openedBefore, "open")] : []),
        ...probes.flatMap((time) => [at(time, "half_open"), at(time, "open")]),
        ...(morning === undefined ? [] : [at(morning, "half_open"), at(morning + latencyMs, "closed")]),
      ],
    );
    [openedBefore, ...probes].slice(0, -1).forEach((time, index) => {
      const leastMs = Math.min(5 * minute, 15_000 * 2 ** index);
      assert.ok(probes[index]! - time >= leastMs, `${model} was asked again at ${probes[index]}, too early`);
    });
  }
}

/** Each is refused once, by one vendor, and nobody is asked after that. */
async function checkRefusals(
  { refused, asked }: Vendors,
  tasks: readonly { result(options: { waitMs: number }): Promise<{ status: string; error?: unknown }> }[],
): Promise<void> {
  const wrong = tasks.flatMap((_, index) => (prompt(index).startsWith("Wrong") ? [prompt(index)] : []));
  assert.equal(wrong.length, 20);
  assert.deepEqual(refused.map((each) => each.prompt).toSorted(), wrong);
  for (const each of refused) assert.equal(asked.filter(({ prompt }) => prompt === each.prompt).length, each.asks);
  const results = await Promise.all(tasks.map((task) => task.result({ waitMs: 0 })));
  const failed = results.flatMap(({ status, error }, index) => (status === "failed" ? [[prompt(index), error]] : []));
  assert.deepEqual(
    failed,
    wrong.map((each) => [each, "model_content_policy"]),
  );
}
