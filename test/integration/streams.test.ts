/**
 * Streams between processes: a worker that talks in a process of its own, and two APIs, on one PostgreSQL. A reader goes
 * from one to the other whenever it likes, and is told everything once.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { EventSourceParserStream } from "eventsource-parser/stream";
import { startChild } from "../support/child.ts";
import { createServerDatabase } from "../support/databases.ts";
import { createRedisServer, noRedis, noRedisServer, testRedis, type RedisServer } from "../support/redis.ts";
import { journalOf, until } from "../support/running-holdfast.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { saidIn, startTalkingApi, talkingTurns, type Talking, type TalkingApi } from "../support/talking-tasks.ts";

const reachable = await createServerDatabase();
await reachable?.drop();
const noServer = reachable === undefined && "there is no server";
/** Far longer than any test: what comes at all came by a message and not by asking. */
const never = { pollMs: 600_000 };

interface Text {
  readonly text: string;
  /** The connection told something of it. What comes from an earlier one may be only the beginning. */
  readonly isCurrent: boolean;
}

interface Seen {
  readonly seqs: number[];
  /** Of each turn, the text that a reader had put together when its entry came. */
  readonly texts: Text[];
  readonly connections: number;
  readonly result: { status: string; output: string };
}

/** Reads a task to its end; after so many events of a connection, `events()`, it goes on at the next place. */
async function follow(taskId: string, places: readonly string[], events: () => number): Promise<Seen> {
  const seqs: number[] = [];
  const texts: Text[] = [];
  let text: Text = { text: "", isCurrent: false };
  for (let connections = 1; connections < 10_000; connections++) {
    const leave = new AbortController();
    const place = places[connections % places.length]!;
    const last = seqs.at(-1);
    const response = await fetch(`${place}/tasks/${taskId}/events`, {
      headers: last === undefined ? {} : { "last-event-id": String(last) },
      signal: leave.signal,
    });
    if (response.status === 204) {
      // It left after the last entry: nothing follows but the result.
      const result = (await (await fetch(`${place}/tasks/${taskId}`)).json()) as Seen["result"];
      return { seqs, texts, connections, result };
    }
    assert.equal(response.status, 200);
    const stream = response.body!.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
    let left = events();
    text = { ...text, isCurrent: false };
    for await (const { event, id, data } of stream) {
      const value = JSON.parse(data);
      if (event === "result") return { seqs, texts, connections, result: value };
      if (event === "partial") text = { text: value.text, isCurrent: true };
      if (event === "delta" && value.type === "text") text = { text: text.text + value.text, isCurrent: true };
      if (event === "entry") {
        seqs.push(Number(id));
        if (value.kind === "model") texts.push(text);
        if (value.kind === "model") text = { text: "", isCurrent: false };
      }
      if (--left === 0) break;
    }
    leave.abort();
  }
  throw new Error("It does not end.");
}

/** The journal of such a task: a model turn and a tool call each, the last turn, the end. */
const allSeqs = Array.from({ length: talkingTurns * 2 }, (_, index) => index + 1);
const allTexts = Array.from({ length: talkingTurns }, (_, index) => saidIn(index + 1));

function assertWhole({ seqs, texts, result }: Seen, what: string): void {
  assert.deepEqual(seqs, allSeqs, what);
  for (const [index, { text, isCurrent }] of texts.entries()) {
    const whole = allTexts[index]!;
    assert.equal(text, isCurrent ? whole : whole.slice(0, text.length), `${what}, turn ${index + 1}`);
  }
  assert.deepEqual([result.status, result.output], ["completed", allTexts.at(-1)], what);
}

async function submit({ base }: TalkingApi): Promise<string> {
  const response = await fetch(`${base}/tasks`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt: "Talk.", token_budget: 32_768 }),
  });
  return ((await response.json()) as { task_id: string }).task_id;
}

/** A worker in a process of its own and two APIs beside one database, all of which end with the stack. */
async function startTalkers(
  stack: AsyncDisposableStack,
  options: Pick<Talking, "redis" | "tuning">,
): Promise<TalkingApi[]> {
  const { url } = stack.adopt((await createServerDatabase())!, ({ drop }) => drop());
  const { redis } = options;
  const worker = stack.adopt(startChild("talk", url, redis?.url ?? "", redis?.prefix ?? ""), async (child) => {
    child.signal("SIGTERM");
    await child.done();
  });
  await worker.line();
  const start = async () => stack.adopt(await startTalkingApi({ url, ...options }), (api) => api.close());
  return Promise.all([start(), start()]);
}

const skipRedis = noServer || (await noRedis());
const { url: redisUrl, prefix, clear } = testRedis();

for (const [name, skip, redis] of [
  ["NOTIFY", noServer, undefined],
  ["Redis", skipRedis, { url: redisUrl, prefix }],
] as const) {
  describe(`A stream from another process, with news over ${name}`, { skip }, () => {
    const started = new AsyncDisposableStack();
    let apis: TalkingApi[];
    before(async () => {
      if (redis !== undefined) started.defer(clear);
      apis = await startTalkers(started, { redis, tuning: never });
    });
    after(() => started.disposeAsync());
    const bases = () => apis.map(({ base }) => base);

    test("tells every entry and all the text as they come, with no question to the store but the first", async () => {
      const taskId = await submit(apis[0]!);
      const seen = await Promise.all(bases().map((base) => follow(taskId, [base], () => Infinity)));
      for (const each of seen) {
        assertWhole(each, name);
        assert.ok(
          each.texts.some(({ isCurrent }) => isCurrent),
          "no turn was told while it was in flight",
        );
      }
    });

    test("goes on at the other process at any point, without a gap or a repeat, and its text adds up", async () => {
      const seed = Date.now() % 1_000_000;
      const random = seededRandom(seed);
      const taskId = await submit(apis[0]!);
      const readers = Array.from({ length: 8 }, (_, reader) =>
        follow(taskId, reader % 2 === 0 ? bases() : bases().toReversed(), () => 1 + Math.floor(random() * 12)),
      );
      for (const seen of await Promise.all(readers)) {
        assertWhole(seen, `seed ${seed}`);
        assert.ok(seen.connections > 2);
      }
    });

    test("ends where somebody waits for the result as soon as it has ended", async () => {
      const [api] = apis as [TalkingApi];
      const response = await fetch(`${api.base}/run`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ prompt: "Talk.", token_budget: 32_768, wait_ms: 60_000 }),
      });
      assert.equal(response.status, 200);
      assert.equal(((await response.json()) as { output: string }).output, allTexts.at(-1));
    });
  });
}

describe("A stream from another process whose Redis dies", { skip: noServer || noRedisServer() }, () => {
  let redis: RedisServer;
  before(async () => {
    redis = await createRedisServer();
    await redis.start();
  });
  after(() => redis.remove());

  test("still tells every entry, in order and once", async () => {
    await using started = new AsyncDisposableStack();
    const own = { url: redis.url, prefix: "test" };
    const apis = await startTalkers(started, { redis: own, tuning: { pollMs: 50 } });
    const bases = apis.map(({ base }) => base);
    const taskId = await submit(apis[0]!);
    const reading = [follow(taskId, bases.slice(0, 1), () => Infinity), follow(taskId, bases, () => 7)];
    await until(async () => (await journalOf(apis[0]!.holdfast, taskId)).length > 1);
    await redis.kill();
    for (const seen of await Promise.all(reading)) assertWhole(seen, "without Redis");
  });
});
