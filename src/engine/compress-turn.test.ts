/** A conversation that no model of the route can take is made shorter, and whatever happens meanwhile, the task goes on or says why. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { testDatabases } from "../../test/support/databases.ts";
import { asksForNotes, charsOf, narrowModel, refused, type NarrowModel } from "../../test/support/narrow-model.ts";
import { assertReadable } from "../../test/support/played-life.ts";
import {
  journalOf,
  kindsOf,
  shownTo,
  startHoldfast,
  tenant,
  toolOf,
  until,
  type Running,
  type Start,
} from "../../test/support/running-holdfast.ts";
import { sql } from "../../test/support/stored-tasks.ts";
import type { CompressionEntry, Entry } from "../agent/journal.ts";
import { systemId } from "../platform/ids.ts";
import type { Database } from "../store/database.ts";
import { defaultRetries } from "./task-run.ts";

const windowChars = 9_000;
const longTurns = 5;
const never = new Promise<never>(() => {});
const tools = [toolOf("read", "read", ({ page }) => `page ${JSON.stringify(page)} ${"text ".repeat(500)}`)];
const limits = { maxSteps: 20, tokens: 1_000_000 };

/** Told to read, it reads page after page; then, or told anything else, it says what it was told. */
function reader(): NarrowModel {
  let page = 0;
  return {
    windowChars,
    work: ({ messages }) => {
      const prompt = messages.findLast((message) => message.role === "user" && !message.text.startsWith("Notes on"));
      const said = prompt?.role === "user" ? prompt.text : "";
      if (!said.startsWith("Read") || page === longTurns) return { text: `Done: ${said}` };
      page += 1;
      return { calls: [{ name: "read", input: { page } }] };
    },
  };
}

for (const { name, open } of await testDatabases()) {
  describe(`A conversation that is too long, on ${name}`, () => {
    let database: Database;
    before(async () => {
      database = await open();
    });
    after(() => database.close());

    const using = async (
      { model = reader(), ...start }: Partial<Start> & { model?: NarrowModel },
      use: (holdfast: Running) => Promise<void>,
    ): Promise<void> => {
      const script = narrowModel(model);
      const agent = { model: "compatible/own", limits, ...start.agent };
      const holdfast = await startHoldfast(database, { script, tools, ...start, agent });
      try {
        await use(holdfast);
      } finally {
        await holdfast.stop();
      }
    };

    test("is shortened when it is refused: notes stand for the older turns, and the newest stay", async () => {
      await using({}, async (holdfast) => {
        const task = await holdfast.submit({ prompt: "Read it all." });
        const result = await task.result();
        assert.deepEqual([result.status, result.error, result.output], ["completed", null, "Done: Read it all."]);
        const entries = await journalOf(holdfast, task.id);
        const [cut] = compressionsIn(entries);
        assert.ok(cut !== undefined);
        assert.equal(entries[cut.seq - 2]?.kind, "failure", "what was refused stands before it");
        assert.equal(entries[cut.seq]?.kind, "model", "the turn that was refused is made next");
        assert.deepEqual([cut.summary, cut.model, cut.keptTurns], ["notes 1", "compatible/own", 1]);
        assert.ok(cut.tokensAfter < cut.tokensBefore);
        const next = holdfast.gateway.requests.findIndex(asksForNotes) + 2;
        const [notes, prompt, call, outcome] = shownTo(holdfast, next);
        assert.ok(notes?.endsWith("notes 1"));
        assert.equal(prompt, "user: Read it all.");
        assert.equal(call, `assistant: read({"page":4})`);
        assert.ok(outcome?.includes("page 4") && outcome.length > 2_500, "the newest outcome is whole");
        const requests = holdfast.gateway.requests.filter((request) => !asksForNotes(request));
        for (const { messages } of requests) assertReadable(messages);
        assert.equal(entries.filter(({ kind }) => kind === "tool").length, longTurns, "the journal is whole");
        await assertPaid(database, holdfast, task.id);
      });
    });

    test("is shortened before it is refused, where the window is known", async () => {
      const models = { "compatible/own": { contextWindow: windowChars / 4 } };
      await using({ config: { models } }, async (holdfast) => {
        const task = await holdfast.submit({ prompt: "Read it all." });
        assert.equal((await task.result()).error, null);
        const kinds = await kindsOf(holdfast, task.id);
        assert.ok(kinds.includes("compression"));
        assert.ok(!kinds.includes("failure"), "no call was made in vain");
      });
    });

    test("is shorter for the tasks that follow, in this process and in another; people read it as it was", async () => {
      const sessionId = systemId();
      let first = "";
      await using({}, async (holdfast) => {
        first = holdfast.agent;
        for (const prompt of ["Hello.", "Read it all.", "And now?"]) {
          const task = await holdfast.submit({ sessionId, prompt });
          assert.equal((await task.result()).error, null);
        }
        const shown = shownTo(holdfast, holdfast.gateway.requests.length);
        assert.match(shown[0]!, /notes \d$/);
        assert.deepEqual(shown.slice(-2), ["assistant: Done: Read it all.", "user: And now?"]);
        assert.ok(!shown.includes("user: Hello."), "the notes stand for the tasks before, too");
        assert.equal(shown.filter((line) => line === "user: Read it all.").length, 1);
        const [hello, long] = await holdfast.engine.exchanges({ tenant, sessionId, before: null, limit: 9 });
        assert.equal(hello?.messages.length, 2);
        assert.equal(long?.messages.length, 2 + 2 * longTurns);
        assert.ok(charsOf(long.messages) > windowChars);
      });
      await using({ agent: { name: first } }, async (another) => {
        await (await another.submit({ sessionId, prompt: "And then?" })).result();
        const shown = shownTo(another, 1);
        assert.match(shown[0]!, /notes \d$/);
        assert.deepEqual(shown.slice(-3), ["user: And now?", "assistant: Done: And now?", "user: And then?"]);
      });
    });

    test("of one outcome larger than the window: it is cut, and no model is asked", async () => {
      const huge = [toolOf("read", "read", () => `begin ${"x".repeat(30_000)} end`)];
      const work: NarrowModel["work"] = (_request, turn) =>
        turn === 1 ? { calls: [{ id: "c1", name: "read", input: {} }] } : { text: "Done." };
      await using({ tools: huge, model: { windowChars: 20_000, work } }, async (holdfast) => {
        const task = await holdfast.submit({ prompt: "Read." });
        assert.equal((await task.result()).output, "Done.");
        const entries = await journalOf(holdfast, task.id);
        const [cut] = compressionsIn(entries);
        assert.deepEqual([cut?.summary, cut?.keptTurns], [null, 1]);
        assert.equal(holdfast.gateway.requests.filter(asksForNotes).length, 0);
        const seen = shownTo(holdfast, 3)[2]!;
        assert.match(
          seen,
          /begin x+.*characters are left out here; the whole is in the task's journal.*call c1.*x+ end/,
        );
        const kept = entries.find((entry) => entry.kind === "tool");
        assert.ok(JSON.stringify(kept).length > 30_000, "the journal is whole");
      });
    });
  });

  describe(`A conversation that cannot be made short enough, on ${name}`, () => {
    let database: Database;
    before(async () => {
      database = await open();
    });
    after(() => database.close());

    const failing = async (model: NarrowModel, prompt: string) => {
      const script = narrowModel(model);
      const agent = { model: "compatible/own", limits };
      const holdfast = await startHoldfast(database, { script, tools, agent });
      const task = await holdfast.submit({ prompt });
      const result = await task.result();
      const entries = await journalOf(holdfast, task.id);
      await holdfast.stop();
      const end = entries.at(-1);
      return { result, entries, calls: holdfast.gateway.requests, message: end?.kind === "end" ? end.message : "" };
    };

    test("fails with what to do, after one call, if nothing can be left out", async () => {
      const { result, calls, message } = await failing(reader(), `Read ${"x".repeat(windowChars)}`);
      assert.deepEqual([result.status, result.error], ["failed", "model_context_too_long"]);
      assert.equal(calls.length, 1);
      assert.match(message, /Nothing can be left out that would help.*larger context window/);
    });

    test("fails after a few tries, and does not go on for ever", async () => {
      let turns = 0;
      const read = reader();
      const work: NarrowModel["work"] = (request, turn) => {
        turns = turn;
        return read.work(request, turn);
      };
      // From the fourth turn on it takes nothing at all.
      const model: NarrowModel = {
        get windowChars() {
          return turns < 3 ? Number.POSITIVE_INFINITY : 0;
        },
        work,
      };
      const { result, entries, calls, message } = await failing(model, "Read it all.");
      assert.deepEqual([result.status, result.error], ["failed", "model_context_too_long"]);
      assert.ok(compressionsIn(entries).length >= 1 && compressionsIn(entries).length <= 3);
      assert.ok(calls.length <= 3 + 4 + 3, `${calls.length} calls`);
      assert.match(message, /It was made shorter, and is still too long.*larger context window/);
    });

    test("a dead letter of it may be set going again, and is fitted into what a model takes then", async () => {
      let chars = 0;
      const model: NarrowModel = {
        get windowChars() {
          return chars;
        },
        work: () => ({ text: "Done." }),
      };
      const holdfast = await startHoldfast(database, {
        script: narrowModel(model),
        agent: { model: "compatible/own" },
      });
      const task = await holdfast.submit({ prompt: "Say it." });
      assert.equal((await task.result()).error, "model_context_too_long");
      chars = 100_000;
      await holdfast.engine.replay({ tenant, taskId: task.id }, { prompt: null, by: "ann" });
      assert.equal((await task.result()).output, "Done.");
      await holdfast.stop();
    });
  });

  describe(`While a conversation is made shorter, on ${name}`, () => {
    let database: Database;
    before(async () => {
      database = await open();
    });
    after(() => database.close());

    const start = (notes: NonNullable<NarrowModel["notes"]>, agent: Start["agent"] = {}): Promise<Running> =>
      startHoldfast(database, {
        script: narrowModel({ ...reader(), notes }),
        tools,
        agent: { model: "compatible/own", limits, ...agent },
        options: { tuning: { leaseMs: 300, retries: { ...defaultRetries, baseMs: 1 } } },
      });
    const asked = ({ gateway }: Running): number => gateway.requests.filter(asksForNotes).length;

    test("an outage is waited for, as by every call", async () => {
      const holdfast = await start((_request, number) => {
        if (number === 1) throw refused("model_unavailable");
        return { text: "late notes" };
      });
      const task = await holdfast.submit({ prompt: "Read it all." });
      assert.equal((await task.result()).error, null);
      const entries = await journalOf(holdfast, task.id);
      const [cut] = compressionsIn(entries);
      const codes = entries.slice(0, cut!.seq).map((entry) => (entry.kind === "failure" ? entry.code : entry.kind));
      assert.deepEqual(codes.slice(-3), ["model_context_too_long", "model_unavailable", "compression"]);
      assert.equal(cut?.summary, "late notes");
      await holdfast.stop();
    });

    test("a refusal, an empty answer or notes that would not fit either are no reason to fail: rules write them", async () => {
      const refusals = [
        () => Promise.reject(refused("model_content_policy")),
        () => Promise.reject(refused("model_context_too_long")),
        () => ({ text: "Well.", finish: "content_filter" as const, costMicros: 3 }),
        () => ({ text: " ", costMicros: 3 }),
      ];
      const tries = [1, 3, 1, 1];
      for (const [index, refuse] of refusals.entries()) {
        const holdfast = await start(refuse);
        const task = await holdfast.submit({ prompt: "Read it all." });
        assert.deepEqual([(await task.result()).error, index], [null, index]);
        const cuts = compressionsIn(await journalOf(holdfast, task.id));
        assert.match(cuts[0]?.summary ?? "", /Agent calls read: \{"page":1\}\nread answers: page 1 text/);
        assert.equal(cuts[0]?.model, null);
        assert.equal(asked(holdfast), cuts.length * tries[index]!, "what does not fit is asked for in half, twice");
        await assertPaid(database, holdfast, task.id);
        await holdfast.stop();
      }
    });

    test("a worker that is lost has perhaps paid for the notes: it is charged once, and they are written again", async () => {
      const holdfast = await start((_request, number) => (number === 1 ? { gate: never } : { text: "notes again" }));
      const task = await holdfast.submit({ prompt: "Read it all." });
      await until(() => asked(holdfast) === 1);
      await database.query(
        sql(
          `update worker set expires_at = holdfast_now() - interval '1 s'
           where id = (select lease_owner from task where id = $1)`,
          task.id,
        ),
      );
      await holdfast.store.reap();
      assert.equal((await task.result()).error, null);
      const entries = await journalOf(holdfast, task.id);
      const [cut] = compressionsIn(entries);
      const lost = entries.filter((entry) => entry.kind === "failure" && entry.code === "worker_lost");
      assert.deepEqual([lost.length, lost[0]?.seq, cut?.summary], [1, cut!.seq - 1, "notes again"]);
      await assertPaid(database, holdfast, task.id);
      await holdfast.stop();
    });

    test("a cancel ends it, and what was used by then is paid for", async () => {
      const holdfast = await start(() => ({ gate: never }));
      const task = await holdfast.submit({ prompt: "Read it all." });
      await until(() => asked(holdfast) === 1);
      await task.cancel("ann");
      assert.equal((await task.result()).status, "cancelled");
      const [cut] = compressionsIn(await journalOf(holdfast, task.id));
      assert.deepEqual([cut?.attempts.map(({ code }) => code), cut?.model], [["interrupted"], null]);
      await assertPaid(database, holdfast, task.id);
      await holdfast.stop();
    });

    test("a message waits, and the next turn answers to it", async () => {
      const gate = Promise.withResolvers<void>();
      const holdfast = await start(() => ({ text: "notes", gate: gate.promise }));
      const sessionId = systemId();
      const task = await holdfast.submit({ prompt: "Read it all.", sessionId });
      await until(() => asked(holdfast) === 1);
      const message = await holdfast.submit({ prompt: "Enough.", sessionId, whileBusy: "interrupt" });
      gate.resolve();
      assert.equal((await message.result()).output, "Done: Enough.");
      const kinds = await kindsOf(holdfast, task.id);
      assert.deepEqual(kinds.slice(kinds.indexOf("compression")), ["compression", "message", "model", "end"]);
      await holdfast.stop();
    });

    test("the token budget holds: without room for the notes the task ends with what there is", async () => {
      const holdfast = await start(() => ({ text: "notes" }), { limits: { maxSteps: 20, tokens: 2_600 } });
      const task = await holdfast.submit({ prompt: "Read it all." });
      const { status, error, tokensUsed } = await task.result();
      assert.deepEqual([status, error], ["completed", "token_budget_exceeded"]);
      assert.ok(tokensUsed <= 2_600);
      assert.equal(asked(holdfast), 0);
      await holdfast.stop();
    });
  });
}

function compressionsIn(entries: readonly Entry[]): (CompressionEntry & Entry)[] {
  return entries.filter((entry): entry is CompressionEntry & Entry => entry.kind === "compression");
}

/** What the task says it used and cost is what the ledger says, and the notes are part of it. */
async function assertPaid(database: Database, { engine }: Running, taskId: string): Promise<void> {
  const { tokensUsed, costUsd } = await engine.result({ tenant, taskId });
  const [ledger] = await database.query<{ tokens: number; cost: number }>(
    sql(
      `select sum(input + output)::int as tokens, sum(cost_micros)::int as cost from usage where task_id = $1`,
      taskId,
    ),
  );
  assert.deepEqual([tokensUsed, (costUsd ?? 0) * 1e6], [ledger?.tokens, ledger?.cost]);
}
