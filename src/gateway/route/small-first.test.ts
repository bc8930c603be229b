/** When the answer of a small model counts, and what becomes of it when it does not. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  breaks,
  codes,
  drips,
  fails,
  finish,
  openGateway,
  says,
  startCall,
  text,
  type Behaviour,
} from "../../../test/support/model-behaviours.ts";
import { chargesOf } from "../../agent/charges.ts";
import { textOf } from "../../agent/conversation.ts";
import { defineRoute } from "../../agent/route.ts";

/** Answers with one tool call of these arguments. */
function asksFor(input: string): Behaviour {
  return () => [{ type: "tool-call", toolCallId: "1", toolName: "find", input }, finish];
}

describe("A small model that is asked first", () => {
  const route = defineRoute({ strategy: "small_first", candidates: ["a/small", "b/large"] });
  const large = [says("Because.")];

  test("answers alone where its answer stands, and nobody sees that it might have given way", async () => {
    const run = startCall({ "a/small": [says("[[", "1, 2]]", " it is")], "b/large": large }, { route });
    const reply = await run.reply;
    assert.deepEqual([reply.model, reply.attempts], ["a/small", []]);
    assert.deepEqual(
      run.deltas.map((delta) => "text" in delta && delta.text),
      ["[[1, 2]]", " it is"],
    );
  });

  test("gives way where it says so; the marker is not shown, and what it cost is written down", async () => {
    const gateway = openGateway({ "a/small": [says("[[ESC", "ALATE]]")], "b/large": large }, { route });
    const run = gateway.call();
    const { model, attempts, choice } = await run.reply;
    assert.deepEqual([model, run.deltas], ["b/large", [{ type: "text", text: "Because." }]]);
    const [{ code, message, usage } = assert.fail()] = attempts;
    assert.deepEqual([code, message, usage?.output], ["model_escalated", "It was not confident.", 11]);
    assert.deepEqual(choice, {
      strategy: "small_first",
      reason: "the small model is asked first; a/small: model_escalated",
    });
    const systems = gateway.asked.map(({ options }) => options.prompt.filter(({ role }) => role === "system").length);
    assert.deepEqual(systems, [1, 0], "only the small one is told how to give way");
  });

  for (const [name, behaviour] of [
    ["is empty", says()],
    [
      "was cut off by its length",
      (() => [text("On and"), { ...finish, finishReason: { unified: "length", raw: "" } }]) as Behaviour,
    ],
  ] as const) {
    test(`gives way where its answer ${name}`, async () => {
      const run = startCall({ "a/small": [behaviour], "b/large": large }, { route });
      assert.equal((await run.reply).model, "b/large");
    });
  }

  test("gives way where whoever checks its calls refuses them; the larger one is not checked", async () => {
    const bad = asksFor('{"id": "?"}');
    const gateway = openGateway({ "a/small": [bad], "b/large": [bad] }, { route });
    const run = gateway.call({ check: async () => "find: id must be a number" });
    const reply = await run.reply;
    assert.deepEqual([reply.model, reply.finish], ["b/large", "calls"]);
    assert.equal(reply.attempts[0]?.message, "Its answer was refused: find: id must be a number");
  });

  test("is the one to answer where nobody larger is left to ask", async () => {
    const run = startCall({ "a/small": [says()] }, { route: { ...route, candidates: route.candidates.slice(0, 1) } });
    assert.equal((await run.reply).model, "a/small");
  });
});

describe("A judge of the small model's answers", () => {
  const route = defineRoute({ strategy: "small_first", candidates: ["a/small", "b/large"], judge: "openai/gpt-4o" });
  const small = [says("A guess.")];
  const large = [says("Because.")];
  /** Its verdict on the usual three criteria. */
  const finds = (...met: boolean[]): Behaviour => {
    const verdicts = met.map((each, index) => ({ number: index + 1, reason: `Reason ${index + 1}.`, met: each }));
    return says(JSON.stringify({ verdicts }));
  };
  const judgedBy = (...judge: Behaviour[]) => ({ "a/small": small, "b/large": large, "openai/gpt-4o": judge });
  const wanting = "Its answer was found wanting by openai/gpt-4o: 2 of 3 criteria are met. Reason 2.";

  test("lets an answer stand that it finds good; what it took is written down and is no failed call", async () => {
    const run = startCall(judgedBy(finds(true, true, true)), { route });
    const reply = await run.reply;
    assert.deepEqual(
      [reply.model, codes(reply), run.calls],
      ["a/small", ["openai/gpt-4o model_judged"], ["a/small", "openai/gpt-4o"]],
    );
    assert.equal(reply.choice?.reason, "the small model is asked first; openai/gpt-4o: 3 of 3 criteria are met");
    const charges = chargesOf({ ...reply, kind: "model", calls: [], seq: 1, at: 0 });
    assert.deepEqual(
      charges.map(({ model, code, costMicros }) => [model, code, costMicros]),
      [
        ["openai/gpt-4o", null, 160],
        ["a/small", null, null],
      ],
    );
    assert.deepEqual(run.deltas, [{ type: "text", text: "A guess." }]);
  });

  test("makes a larger model answer where it finds the answer wanting, and says why", async () => {
    const run = startCall(judgedBy(finds(true, false, true)), { route });
    const reply = await run.reply;
    assert.deepEqual(
      [reply.model, codes(reply)],
      ["b/large", ["openai/gpt-4o model_judged", "a/small model_escalated"]],
    );
    assert.equal(reply.attempts[1]?.message, wanting);
    assert.deepEqual(run.deltas.slice(1), [{ type: "restart" }, { type: "text", text: "Because." }]);
  });

  test("is content with the share of its own criteria that the route asks for", async () => {
    const judge = { model: "openai/gpt-4o", criteria: ["It is short.", "It rhymes."], atLeast: 0.5 };
    const gateway = openGateway(judgedBy(finds(true, false)), { route: { ...route, judge } });
    assert.equal((await gateway.call().reply).model, "a/small");
    const asked = JSON.stringify(gateway.asked.at(-1)?.options.prompt);
    for (const shown of ["It rhymes.", "A guess."]) assert.ok(asked.includes(shown), shown);
  });

  test("that cannot be asked, or talks nonsense, refuses nothing; the choice says so", async () => {
    for (const [behaviour, judged, problem] of [
      [fails(400), 1, "could not be asked"],
      [says("Looks fine to me!"), 2, "cannot be read"],
    ] as const) {
      const reply = await startCall(judgedBy(behaviour), { route }).reply;
      assert.deepEqual([reply.model, reply.attempts.length], ["a/small", judged]);
      assert.match(reply.choice?.reason ?? "", new RegExp(`no verdict of openai/gpt-4o: .*${problem}`));
    }
  });

  test("that takes too long is waited for no longer, and what it used by then is written down", async () => {
    const slow: Behaviour = (signal, clock) => drips(() => clock, { everyMs: 20_000, count: 9 })(signal, clock);
    const run = startCall(judgedBy(slow), { route });
    await run.clock.advance(60_000);
    const reply = await run.reply;
    assert.equal(reply.model, "a/small");
    const [attempt] = reply.attempts;
    assert.deepEqual([attempt?.code, attempt?.ms, attempt!.usage!.output > 0], ["model_judged", 60_000, true]);
  });

  test("is not asked of a turn that asks for tools, nor of an answer that cannot be used anyway", async () => {
    for (const behaviour of [asksFor('{"id": 1}'), says("[[ESCALATE]]"), says()]) {
      const run = startCall({ ...judgedBy(finds(false, false, false)), "a/small": [behaviour] }, { route });
      await run.reply;
      assert.ok(!run.calls.includes("openai/gpt-4o"));
    }
  });

  test("leaves the answer to serve where no larger model answers: shown again, and charged for once", async () => {
    const run = startCall(
      { ...judgedBy(finds(true, false, true)), "b/large": [breaks("Half of")] },
      { route, attempts: 1 },
    );
    const reply = await run.reply;
    assert.deepEqual([reply.model, textOf(reply.parts)], ["a/small", "A guess."]);
    assert.deepEqual(codes(reply), [
      "openai/gpt-4o model_judged",
      "a/small model_escalated",
      "b/large model_stream_broken",
    ]);
    assert.match(reply.choice?.reason ?? "", /a\/small: model_escalated; no larger one answered: its answer is used/);
    assert.deepEqual(run.deltas.slice(-2), [{ type: "restart" }, { type: "text", text: "A guess." }]);
    const charged = chargesOf({ ...reply, kind: "model", calls: [], seq: 1, at: 0 }).map(({ model }) => model);
    assert.deepEqual(charged, ["openai/gpt-4o", "b/large", "a/small"]);
  });

  test("does not make an answer serve that a larger model's policy refuses, nor one that gave way by itself", async () => {
    const refused = { ...judgedBy(finds(false, true, true)), "b/large": [fails(400, {}, "content_policy_violation")] };
    const policy = await startCall(refused, { route }).error;
    assert.equal(policy?.code, "model_content_policy");
    const unsure = { ...judgedBy(finds(true, true, true)), "a/small": [says("[[ESCALATE]]")], "b/large": [fails(503)] };
    const outage = await startCall(unsure, { route, attempts: 1 }).error;
    assert.equal(outage?.code, "model_unavailable");
  });

  test("whose call the user cuts off leaves the answer as it is", async () => {
    const interruption = new AbortController();
    const cuts: Behaviour = () => {
      interruption.abort();
      return new Promise(() => {});
    };
    const reply = await startCall(judgedBy(cuts), { route, interruption: interruption.signal }).reply;
    assert.deepEqual([reply.model, reply.finish, textOf(reply.parts)], ["a/small", "stop", "A guess."]);
  });
});
