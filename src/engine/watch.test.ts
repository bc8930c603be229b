import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { testDatabases } from "../../test/support/databases.ts";
import {
  borrowed,
  journalOf,
  startHoldfast,
  tenant,
  toolOf,
  until,
  type Running,
  type Start,
} from "../../test/support/running-holdfast.ts";
import { sql } from "../../test/support/stored-tasks.ts";
import type { ModelGateway, ModelReply } from "../gateway/model-gateway.ts";
import { systemClock } from "../platform/clock.ts";
import { neverAborts } from "../platform/abort.ts";
import { systemId } from "../platform/ids.ts";
import type { Database } from "../store/database.ts";
import type { TaskEvent } from "./watch.ts";

const tools = [toolOf("look", "read", () => "seen")];
const looksThenSays: Start["script"] = ({ messages }) =>
  messages.length < 6
    ? { text: "Looking.", calls: [{ name: "look", input: { at: messages.length } }] }
    : { text: "Done." };

const reply = (text: string): ModelReply => ({
  parts: [
    {
      type: "text",
      text,
    },
  ],
  finish: "stop",
  model: "test/model",
  usage: {
    input: 1,
    cached: 0,
    output: 1,
    reasoning: 0,
    estimated: false,
  },
  costMicros: 0,
  ttftMs: 0,
  tpotMs: 0,
  attempts: [],
});

async function all(events: AsyncIterable<TaskEvent>): Promise<TaskEvent[]> {
  const seen: TaskEvent[] = [];
  for await (const event of events) seen.push(event);
  return seen;
}

const seqsOf = (events: readonly TaskEvent[]): number[] =>
  events.flatMap((event) => (event.type === "entry" ? [event.entry.seq] : []));

for (const { name, open } of await testDatabases()) {
  describe(`Watching a task on ${name}`, () => {
    let database: Database;
    let shared: Database;
    before(async () => {
      database = await open();
      shared = { ...borrowed(database), kind: "server" };
    });
    after(() => database.close());

    const partialOf = async (taskId: string): Promise<string | undefined> =>
      (await database.query<{ text: string }>(sql("select text from partial where task_id = $1", taskId)))[0]?.text;

    const withHoldfast = async (start: Start, use: (holdfast: Running) => Promise<void>): Promise<void> => {
      const holdfast = await startHoldfast(shared, start);
      try {
        await use(holdfast);
      } finally {
        await holdfast.stop();
      }
    };

    test("from any number on tells every entry after it once, in order, and then the result", async () => {
      await withHoldfast({ script: looksThenSays, tools }, async (holdfast) => {
        const task = await holdfast.submit({ prompt: "Look" });
        const result = await task.result();
        const journal = await journalOf(holdfast, task.id);
        for (let afterSeq = 0; afterSeq <= journal.length + 1; afterSeq++) {
          const events = await all(task.events({ afterSeq }));
          const last = events.pop();
          assert.deepEqual(
            events,
            journal.slice(afterSeq).map((entry) => ({ type: "entry", entry })),
          );
          assert.deepEqual(last, { type: "result", result });
        }
      });
    });

    test("while it runs, from any number on and by many, misses nothing and repeats nothing", async () => {
      await withHoldfast({ script: looksThenSays, tools }, async (holdfast) => {
        const task = await holdfast.submit({ prompt: "Look" });
        const watchers = Array.from({ length: 8 }, (_, afterSeq) => all(task.events({ afterSeq })));
        const seen = await Promise.all(watchers);
        const journal = await journalOf(holdfast, task.id);
        for (const [afterSeq, events] of seen.entries()) {
          assert.deepEqual(seqsOf(events), journal.map(({ seq }) => seq).slice(afterSeq));
          assert.equal(events.at(-1)?.type, "result");
        }
      });
    });

    test("tells nobody of a task of another tenant, not even where it runs", async () => {
      const gate = Promise.withResolvers<void>();
      await withHoldfast({ script: [{ text: "Secret.", gate: gate.promise }] }, async (holdfast) => {
        const task = await holdfast.submit({ prompt: "Ask" });
        await until(() => holdfast.gateway.requests.length === 1);
        const address = { tenant: "globex", taskId: task.id };
        const wait = { ...address, waitMs: 60_000, signal: neverAborts() };
        const waiting = assert.rejects(holdfast.engine.awaitResult(wait), { code: "task_not_found" });
        gate.resolve();
        await waiting;
        const watching = holdfast.engine.watch({ ...address, afterSeq: 0, signal: wait.signal });
        await assert.rejects(all(watching), { code: "task_not_found" });
      });
    });

    test("tells the pieces of an answer as they come, before the entry that holds the whole", async () => {
      const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const gateway: ModelGateway = {
        call: async ({ onDelta }) => {
          for (const [index, text] of ["Hel", "lo"].entries()) {
            await gates[index]!.promise;
            onDelta({ type: "text", text });
          }
          return reply("Hello");
        },
      };
      await withHoldfast({ script: [], options: { parts: { gateway } } }, async (holdfast) => {
        const task = await holdfast.submit({ prompt: "Greet" });
        const events = task.events();
        gates[0]!.resolve();
        let text = "";
        const seen: string[] = [];
        for await (const event of events) {
          if (event.type === "partial") text = event.text;
          else if (event.type === "delta") text += event.delta.type === "text" ? event.delta.text : "";
          else seen.push(`${event.type} after "${text}"`);
          if (text === "Hel") gates[1]!.resolve();
        }
        assert.deepEqual(seen, ['entry after "Hello"', 'entry after "Hello"', 'result after "Hello"']);
      });
    });

    test("by a reader who falls behind loses pieces of text and no entry", async () => {
      const started = Promise.withResolvers<void>();
      const gateway: ModelGateway = {
        call: async ({ messages, onDelta }) => {
          onDelta({ type: "text", text: "x" });
          await started.promise;
          for (let piece = 1; piece < 3_000; piece++) onDelta({ type: "text", text: "x" });
          const call = {
            type: "call" as const,
            id: `c${messages.length}`,
            tool: "look",
            input: { at: messages.length },
          };
          return messages.length < 6 ? { ...reply("x"), parts: [call], finish: "calls" } : reply("x");
        },
      };
      await withHoldfast({ script: [], tools, options: { parts: { gateway } } }, async (holdfast) => {
        const task = await holdfast.submit({ prompt: "Pour", tokenBudget: 32_768 });
        const seen: TaskEvent[] = [];
        for await (const event of task.events()) {
          seen.push(event);
          if (seen.length > 1) continue;
          started.resolve();
          await until(async () => (await task.result({ waitMs: 0 })).status === "completed");
        }
        assert.deepEqual(
          seqsOf(seen),
          (await journalOf(holdfast, task.id)).map(({ seq }) => seq),
        );
        assert.equal(seen.at(-1)?.type, "result");
        assert.ok(seen.length < 3_000, "it did not wait for all the pieces");
      });
    });

    test("again in the middle of an answer begins with the text so far, also in another process", async () => {
      const gate = Promise.withResolvers<void>();
      const gateway: ModelGateway = {
        call: async ({ onDelta }) => {
          onDelta({ type: "text", text: "Once upon " });
          await gate.promise;
          onDelta({ type: "text", text: "a time" });
          return reply("Once upon a time");
        },
      };
      const agent = { name: `tale-${name.toLowerCase()}` };
      await withHoldfast({ script: [], agent, options: { parts: { gateway } } }, async (holdfast) => {
        const task = await holdfast.submit({ prompt: "Tell" });
        const here = task.events()[Symbol.asyncIterator]();
        const firstHere = await here.next();
        assert.ok(["partial", "delta"].includes((firstHere.value as TaskEvent).type));
        await here.return?.();
        await withHoldfast({ script: [], agent, options: { roles: ["api"] } }, async (elsewhere) => {
          await until(async () => (await partialOf(task.id)) === "Once upon ");
          const there = elsewhere.task(task.id).events()[Symbol.asyncIterator]();
          assert.deepEqual((await there.next()).value, { type: "partial", text: "Once upon " });
          gate.resolve();
          const rest = await all({ [Symbol.asyncIterator]: () => there });
          assert.deepEqual([seqsOf(rest), rest.at(-1)?.type], [[1, 2], "result"]);
        });
        assert.equal(await until(async () => (await partialOf(task.id)) === undefined), true);
      });
    });

    test("in another process that hears no hint tells everything, only later", async () => {
      const deaf: Database = { ...shared, listen: () => Promise.resolve(() => Promise.resolve()) };
      const agent = { name: `deaf-watch-${name.toLowerCase()}` };
      const api = await startHoldfast(deaf, { script: [], tools, agent, options: { roles: ["api"] } });
      const worker = await startHoldfast(deaf, { script: looksThenSays, tools, agent });
      const task = await api.submit({ prompt: "Look" });
      const events = await all(task.events());
      assert.deepEqual(
        seqsOf(events),
        (await journalOf(api, task.id)).map(({ seq }) => seq),
      );
      assert.equal(events.at(-1)?.type, "result");
      await Promise.all([api.stop(), worker.stop()]);
    });

    test("ends without a result when the reader leaves", async () => {
      await withHoldfast({ script: () => ({ gate: new Promise(() => {}) }) }, async (holdfast) => {
        const task = await holdfast.submit({ prompt: "Think" });
        const leaving = new AbortController();
        const watching = all(task.events({ signal: leaving.signal }));
        await until(() => holdfast.gateway.requests.length === 1);
        leaving.abort();
        assert.deepEqual(await watching, []);
        await task.cancel();
        await task.result();
      });
    });

    test("for its result ends when the time to wait is over, however much text is on its way", async () => {
      const stopped = new AbortController();
      const gateway: ModelGateway = {
        call: async ({ onDelta, signal }) => {
          while (!stopped.signal.aborted && !signal.aborted) {
            onDelta({ type: "text", text: "." });
            await new Promise(setImmediate);
          }
          return reply("...");
        },
      };
      await withHoldfast({ script: [], options: { parts: { gateway } } }, async (holdfast) => {
        const task = await holdfast.submit({ prompt: "Go on" });
        assert.equal((await task.result({ waitMs: 100 })).status, "running");
        stopped.abort();
        assert.equal((await task.result()).status, "completed");
      });
    });

    test("for a time ends with it, also where a timer comes a moment too early", async () => {
      const clock = { ...systemClock, timer: (ms: number, run: () => void) => systemClock.timer(Math.min(ms, 1), run) };
      await withHoldfast(
        { script: () => ({ gate: new Promise<never>(() => {}) }), options: { parts: { clock } } },
        async (holdfast) => {
          const task = await holdfast.submit({ prompt: "Go on" });
          assert.equal((await task.result({ waitMs: 60_000 })).status, "running");
        },
      );
    });

    test("that does not exist, or is another's, is not possible", async () => {
      await withHoldfast({ script: () => ({ text: "Hi." }) }, async (holdfast) => {
        const task = await holdfast.submit({ prompt: "Hello" });
        const signal = neverAborts();
        const strange = holdfast.engine.watch({ tenant: "globex", taskId: task.id, afterSeq: 0, signal });
        await assert.rejects(all(strange), { code: "task_not_found" });
        await assert.rejects(all(holdfast.task(systemId()).events()), { code: "task_not_found" });
        await assert.rejects(holdfast.engine.journal({ tenant: "globex", taskId: task.id, afterSeq: 0, limit: 9 }), {
          code: "task_not_found",
        });
        assert.equal(tenant, "default");
        await task.result();
      });
    });
  });
}
