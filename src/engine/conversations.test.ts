import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { testDatabases } from "../../test/support/databases.ts";
import {
  borrowed,
  journalOf,
  kindsOf,
  questionsOf,
  shownTo,
  startHoldfast,
  tenant,
  toolOf,
  until,
  type Running,
  type Start,
} from "../../test/support/running-holdfast.ts";
import { systemClock } from "../platform/clock.ts";
import { systemId } from "../platform/ids.ts";
import type { Database } from "../store/database.ts";
import type { ScriptedTurn } from "../testing/scripted-model.ts";

type Request = Parameters<Extract<Start["script"], (...args: never[]) => unknown>>[0];

/** Says what it was asked, after looking it up if it was told to. */
function echo({ messages }: Request): ScriptedTurn {
  const asked = messages.findLastIndex(({ role }) => role === "user");
  const message = messages[asked];
  const prompt = message?.role === "user" ? message.text : "";
  if (prompt.startsWith("fail")) return { finish: "content_filter" };
  const looks = Number(/look (\d)/.exec(prompt)?.[1] ?? 0);
  const turns = messages.slice(asked).filter(({ role }) => role === "assistant").length;
  return turns < looks ? { calls: [{ name: "look", input: { turn: turns + 1 } }] } : { text: `re: ${prompt}` };
}

const tools = [toolOf("look", "read", ({ turn }) => `seen ${JSON.stringify(turn)}`)];

for (const { name, open } of await testDatabases()) {
  describe(`Conversations on ${name}`, () => {
    let database: Database;
    before(async () => {
      database = await open();
    });
    after(() => database.close());

    const withHoldfast = async (start: Partial<Start>, use: (holdfast: Running) => Promise<void>): Promise<void> => {
      const holdfast = await startHoldfast(database, { script: echo, tools, ...start });
      try {
        await use(holdfast);
      } finally {
        await holdfast.stop();
      }
    };
    const say = async (holdfast: Running, sessionId: string, prompt: string): Promise<string> => {
      const task = await holdfast.submit({ sessionId, prompt });
      await task.result();
      return task.id;
    };

    test("the tasks of a session run one at a time, in the order submitted, each with all that was said before", async () => {
      await withHoldfast({}, async (holdfast) => {
        const sessionId = systemId();
        const tasks = await Promise.all(["a", "look 1", "c"].map((prompt) => holdfast.submit({ sessionId, prompt })));
        for (const task of tasks) assert.equal((await task.result()).status, "completed");
        assert.deepEqual(shownTo(holdfast, 4), [
          "user: a",
          "assistant: re: a",
          "user: look 1",
          'assistant: look({"turn":1})',
          'look: "seen 1"',
          "assistant: re: look 1",
          "user: c",
        ]);
        const journals = await Promise.all(tasks.map(({ id }) => journalOf(holdfast, id)));
        assert.ok(journals[0]!.at(-1)!.at <= journals[1]![0]!.at && journals[1]!.at(-1)!.at <= journals[2]![0]!.at);
      });
    });

    test("different sessions run side by side", async () => {
      const gates = { slow: Promise.withResolvers<void>(), quick: Promise.withResolvers<void>() };
      const script = ({ messages: [first] }: Request) => {
        const prompt = first?.role === "user" ? (first.text as keyof typeof gates) : "quick";
        return { text: prompt, gate: gates[prompt].promise };
      };
      await withHoldfast({ script }, async (holdfast) => {
        const slow = await holdfast.submit({ prompt: "slow" });
        const quick = await holdfast.submit({ prompt: "quick" });
        await until(() => holdfast.gateway.requests.length === 2);
        gates.quick.resolve();
        assert.equal((await quick.result()).output, "quick");
        gates.slow.resolve();
        assert.equal((await slow.result()).output, "slow");
      });
    });

    test("a task that fails or is cancelled adds nothing to its conversation", async () => {
      await withHoldfast({}, async (holdfast) => {
        const sessionId = systemId();
        await say(holdfast, sessionId, "a");
        await say(holdfast, sessionId, "fail");
        await say(holdfast, sessionId, "b");
        assert.deepEqual(shownTo(holdfast, 3), ["user: a", "assistant: re: a", "user: b"]);
        const exchanges = await holdfast.engine.exchanges({ tenant, sessionId, before: null, limit: 10 });
        assert.equal(exchanges.length, 2);
      });
    });

    test("a task is shown the newest exchanges that leave it room to work, and the last one in any case", async () => {
      const agent = { name: `short-${name.toLowerCase()}`, limits: { tokens: 2_000 } };
      const sessionId = systemId();
      const prompts = ["a", "b", "c", "d"].map((letter) => letter.repeat(300));
      const shown = (holdfast: Running, call: number): string[] =>
        shownTo(holdfast, call).flatMap((line) => (line.startsWith("user: ") ? [line.slice(6, 7)] : []));
      await withHoldfast({ agent }, async (holdfast) => {
        for (const prompt of prompts) await say(holdfast, sessionId, prompt);
        assert.deepEqual(shown(holdfast, 4), ["b", "c", "d"]);
        await say(holdfast, sessionId, "e".repeat(2_000));
      });
      // Another process reads it from the store, and comes to the same.
      await withHoldfast({ agent }, async (holdfast) => {
        assert.equal((await (await holdfast.submit({ sessionId, prompt: "f" })).result()).error, null);
        assert.deepEqual(shown(holdfast, 1), ["e", "f"]);
      });
    });

    test("of a session of large tasks no more is read than is shown", async () => {
      const sessionId = systemId();
      await withHoldfast({}, async (holdfast) => {
        for (const letter of ["a", "b", "c"]) await say(holdfast, sessionId, letter);
        const page = { tenant, sessionId, before: null, limit: 100 };
        assert.equal((await holdfast.store.exchanges({ ...page, mostBytes: 1_000_000 })).length, 3);
        const [newest, ...older] = await holdfast.store.exchanges({ ...page, mostBytes: 1 });
        assert.deepEqual([newest?.input.prompt, older], ["c", []]);
      });
    });

    test("a busy conversation is not read again, one that another process went on with is", async () => {
      let reads = 0;
      const counting: Database = {
        ...database,
        kind: "server",
        query: (statement) => {
          if (statement.name === "exchanges_within") reads++;
          return database.query(statement);
        },
      };
      const agent = { name: `busy-${name.toLowerCase()}` };
      const start = { script: echo, tools, agent };
      const first = await startHoldfast(counting, start);
      const sessionId = systemId();
      for (const prompt of ["a", "b", "c"]) await say(first, sessionId, prompt);
      assert.equal(reads, 0);
      const idle = await startHoldfast(counting, { ...start, options: { roles: ["api"] } });
      await say(first, sessionId, "d");
      assert.equal(reads, 0, "who only submits reads nothing");
      await first.stop();
      const second = await startHoldfast(counting, start);
      await say(second, sessionId, "e");
      assert.equal(reads, 1);
      assert.deepEqual(shownTo(second, 1).length, 9);
      const third = await startHoldfast(counting, { ...start, options: { hostedAgents: [] } });
      await say(third, sessionId, "f");
      assert.equal(reads, 1, "its own answer is known to the second");
      assert.equal(shownTo(second, 2).length, 11);
      await Promise.all([second, third, idle].map((each) => each.stop()));
    });

    test("two processes that take turns in one session each see what the other said", async () => {
      const agent = { name: `turns-${name.toLowerCase()}` };
      const server: Database = { ...borrowed(database), kind: "server" };
      const sessionId = systemId();
      const both = [
        await startHoldfast(server, { script: echo, tools, agent }),
        await startHoldfast(server, { script: echo, tools, agent }),
      ];
      const prompts = Array.from({ length: 12 }, (_, n) => `${n}`);
      for (const [n, prompt] of prompts.entries()) await say(both[n % 2]!, sessionId, prompt);
      const requests = both.flatMap(({ gateway }) => gateway.requests);
      const lengths = requests.map(({ messages }) => messages.length).sort((a, b) => a - b);
      assert.deepEqual(
        lengths,
        prompts.map((_, n) => 2 * n + 1),
      );
      await Promise.all(both.map((each) => each.stop()));
    });

    test("a deleted session begins anew, also in a worker that remembers the old one", async () => {
      await withHoldfast({}, async (holdfast) => {
        const sessionId = systemId();
        await say(holdfast, sessionId, "a");
        await say(holdfast, sessionId, "b");
        await holdfast.engine.deleteSession(tenant, sessionId);
        await assert.rejects(holdfast.engine.session(tenant, sessionId), { code: "session_not_found" });
        await say(holdfast, sessionId, "c");
        await say(holdfast, sessionId, "d");
        assert.deepEqual(shownTo(holdfast, 4), ["user: c", "assistant: re: c", "user: d"]);
      });
    });

    test("a session with an open task is not deleted", async () => {
      const script = () => ({ calls: [{ name: "ask", input: {} }] });
      await withHoldfast(
        { script, tools: [toolOf("ask", { effect: "once", approval: true }, () => 1)] },
        async (holdfast) => {
          const task = await holdfast.submit({ prompt: "Ask", sessionId: `open-${name}` });
          await questionsOf(holdfast, task.id);
          await assert.rejects(holdfast.engine.deleteSession(tenant, `open-${name}`), { code: "session_busy" });
          await task.cancel();
          await holdfast.engine.deleteSession(tenant, `open-${name}`);
        },
      );
    });
  });

  describe(`Forks on ${name}`, () => {
    let database: Database;
    let holdfast: Running;
    before(async () => {
      database = await open();
      holdfast = await startHoldfast(database, { script: echo, tools });
    });
    after(async () => {
      await holdfast.stop();
      await database.close();
    });

    const ended = async (prompt: string, sessionId = systemId()): Promise<string> => {
      const task = await holdfast.submit({ prompt, sessionId });
      await task.result();
      return task.id;
    };
    const fork = async (taskId: string, options: { step?: number; prompt?: string; model?: string[] }) => {
      const { step = null, prompt = null, model = null } = options;
      const { taskId: id } = await holdfast.engine.fork({ tenant, taskId }, { step, prompt, model });
      const result = await holdfast.task(id).result();
      return { id, result, shown: shownTo(holdfast, holdfast.gateway.requests.length), sessionId: result.sessionId };
    };
    const looked = (turn: number): string[] => [`assistant: look({"turn":${turn}})`, `look: "seen ${turn}"`];

    test("a fork goes on from a step of the original, in a session of its own, with the conversation before it", async () => {
      const sessionId = systemId();
      await ended("a", sessionId);
      const original = await ended("look 3", sessionId);
      const before = await journalOf(holdfast, original);
      const { id, result, sessionId: own } = await fork(original, { step: 1 });
      assert.deepEqual(
        [result.status, result.output, result.stepsUsed, own === sessionId],
        ["completed", "re: look 3", 4, false],
      );
      assert.deepEqual((await journalOf(holdfast, id)).slice(0, 2), before.slice(0, 2), "the step is the original's");
      assert.deepEqual(await journalOf(holdfast, original), before, "the original is as it was");
      const { shown } = await fork(original, { step: 2 });
      assert.deepEqual(shown, [
        "user: a",
        "assistant: re: a",
        "user: look 3",
        ...looked(1),
        ...looked(2),
        ...looked(3),
      ]);
    });

    test("a fork with another prompt, or another model, keeps the steps and uses it", async () => {
      const original = await ended("look 1");
      const { result, shown } = await fork(original, { step: 1, prompt: "look 1 again", model: ["a/b"] });
      assert.equal(result.output, "re: look 1 again");
      assert.deepEqual(shown, ["user: look 1 again", ...looked(1)]);
      const route = holdfast.gateway.requests.at(-1)?.route;
      assert.deepEqual(
        route?.candidates.map(({ model }) => model),
        ["a/b"],
      );
      const { shown: fromStart } = await fork(original, { step: 0, prompt: "b" });
      assert.deepEqual(fromStart, ["user: b"]);
    });

    test("a fork without a step keeps all that is whole, and beyond that there is none", async () => {
      const original = await ended("look 2");
      const { shown } = await fork(original, {});
      assert.deepEqual(shown, ["user: look 2", ...looked(1), ...looked(2)]);
      await assert.rejects(fork(original, { step: 3 }), { code: "no_such_step" });
      await assert.rejects(
        holdfast.engine.fork({ tenant: "globex", taskId: original }, { step: 0, prompt: null, model: null }),
        {
          code: "task_not_found",
        },
      );
    });

    test("a fork of a fork carries the conversation of the first", async () => {
      const sessionId = systemId();
      await ended("a", sessionId);
      const first = await fork(await ended("look 2", sessionId), { step: 1 });
      const second = await fork(first.id, { step: 1, prompt: "look 1 more" });
      assert.deepEqual(second.shown, ["user: a", "assistant: re: a", "user: look 1 more", ...looked(1)]);
      await ended("b", second.sessionId);
      assert.deepEqual(shownTo(holdfast, holdfast.gateway.requests.length), [
        ...second.shown,
        "assistant: re: look 1 more",
        "user: b",
      ]);
    });

    test("a fork of a replayed task begins with the replay", async () => {
      const task = await holdfast.submit({ prompt: "fail" });
      await task.result();
      await holdfast.engine.replay({ tenant, taskId: task.id }, { prompt: "look 1", by: "ann" });
      await task.result();
      assert.deepEqual(await kindsOf(holdfast, task.id), ["model", "end", "replay", "model", "tool", "model", "end"]);
      const forked = await fork(task.id, { step: 1 });
      assert.deepEqual(forked.shown, ["user: look 1", ...looked(1)]);
      assert.deepEqual(await kindsOf(holdfast, forked.id), ["model", "tool", "model", "end"]);
    });

    test("a fork keeps no step of a turn that a replay made void", async () => {
      let lateMs = 0;
      const clock = { ...systemClock, now: () => systemClock.now() + lateMs };
      const looksTooLate = (request: Request): ScriptedTurn => {
        const [first] = request.messages;
        if (first?.role === "user" && first.text === "look 1") lateMs = 120_000;
        return echo(request);
      };
      const agent = { limits: { deadlineMs: 60_000 } };
      const late = await startHoldfast(database, { script: looksTooLate, tools, agent, options: { parts: { clock } } });
      const task = await late.submit({ prompt: "look 1" });
      assert.equal((await task.result()).error, "deadline_exceeded");
      lateMs = 0;
      const original = { tenant, taskId: task.id };
      await late.engine.replay(original, { prompt: "look 2", by: "ann" });
      await task.result();
      assert.deepEqual((await kindsOf(late, task.id)).slice(0, 4), ["model", "end", "replay", "model"]);
      const { taskId } = await late.engine.fork(original, { step: 1, prompt: null, model: null });
      await late.task(taskId).result();
      assert.deepEqual(shownTo(late, 5), ["user: look 2", ...looked(1)]);
      await late.stop();
    });

    test("a fork is shown as much of a long conversation as its original was", async () => {
      const agent = { limits: { tokens: 2_000 } };
      const short = await startHoldfast(database, { script: echo, tools, agent });
      const sessionId = systemId();
      const tasks: string[] = [];
      for (const letter of ["a", "b", "c", "d"]) {
        const task = await short.submit({ prompt: letter.repeat(300), sessionId });
        await task.result();
        tasks.push(task.id);
      }
      const original = { tenant, taskId: tasks.at(-1)! };
      const { taskId } = await short.engine.fork(original, { step: 0, prompt: null, model: null });
      assert.equal((await short.task(taskId).result()).error, null);
      assert.deepEqual(shownTo(short, 5), shownTo(short, 4));
      assert.equal(shownTo(short, 5).length, 5, "less than the whole of it");
      await short.stop();
    });

    test("a dead letter that is replayed waits for what was submitted after it, and sees it", async () => {
      const sessionId = systemId();
      const failed = await holdfast.submit({ prompt: "fail", sessionId });
      await failed.result();
      await ended("b", sessionId);
      await holdfast.engine.replay({ tenant, taskId: failed.id }, { prompt: "c", by: "ann" });
      assert.equal((await failed.result()).output, "re: c");
      assert.deepEqual(shownTo(holdfast, holdfast.gateway.requests.length), ["user: b", "assistant: re: b", "user: c"]);
    });
  });
}
