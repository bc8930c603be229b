import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../../../test/support/seeded-random.ts";
import type { Message } from "../../agent/conversation.ts";
import { defineRoute, type RouteOptions } from "../../agent/route.ts";
import { complexityOf, planRoute, type RoutePlan } from "./strategy.ts";

interface Asked {
  readonly chars?: number;
  readonly tools?: number;
  readonly maxOutputTokens?: number;
  readonly random?: () => number;
}

const windows: Record<string, number> = { "a/small": 1_000, "a/large": 100_000 };
const toolNamed = (name: string) => ({ name, description: "", inputSchema: {} });

function plan(route: RouteOptions, asked: Asked = {}): RoutePlan {
  const { chars = 400, tools = 0, maxOutputTokens = 100, random = () => 0.5 } = asked;
  const request = {
    route: defineRoute(route),
    system: "",
    messages: [{ role: "user" as const, text: "x".repeat(chars) }],
    tools: Array.from({ length: tools }, (_, index) => toolNamed(`t${index}`)),
    maxOutputTokens,
  };
  return planRoute(request, { random, contextWindow: (model) => windows[model] ?? null });
}

const names = ({ order }: RoutePlan): string => order.map(({ model }) => model.split("/")[1]).join(" ");

describe("The order of candidates", () => {
  test("is that of the list, and a plain route draws no lot", () => {
    const random = (): number => assert.fail("no lot");
    assert.equal(names(plan({ candidates: ["a/1", "b/2", "rules/default"] }, { random })), "1 2 default");
  });

  test("leaves out whose conditions the request does not meet", () => {
    const route: RouteOptions = {
      candidates: [
        { model: "a/tools", when: { tools: true } },
        { model: "a/talk", when: { tools: false } },
        { model: "a/long", when: { contextTokensAtLeast: 1_000 } },
        { model: "a/short", when: { contextTokensAtMost: 999 } },
        "a/any",
      ],
    };
    assert.equal(names(plan(route)), "talk short any");
    assert.equal(names(plan(route, { tools: 1 })), "tools short any");
    assert.equal(names(plan(route, { chars: 4_000 })), "talk long any");
    assert.equal(
      plan({ candidates: [{ model: "a/1", when: { tools: true } }, "a/2"] }).choice.reason,
      "the first whose conditions the request meets",
    );
  });

  test("within a rank shares the calls by weight, and the others of the rank stand in", () => {
    const random = seededRandom(7);
    const route: RouteOptions = {
      candidates: [{ model: "a/much", rank: 1, weight: 8 }, { model: "a/less", rank: 1, weight: 2 }, "a/last"],
    };
    const firsts = { much: 0, less: 0 } as Record<string, number>;
    for (let call = 0; call < 2_000; call++) {
      const [first = "", second, last] = names(plan(route, { random })).split(" ");
      firsts[first] = (firsts[first] ?? 0) + 1;
      assert.deepEqual([second, last], [first === "much" ? "less" : "much", "last"]);
    }
    assert.ok(Math.abs(firsts["much"]! - 1_600) < 80, `${firsts["much"]} of 2000 where 1600 are due`);
  });
});

describe("The strategy", () => {
  const ladder = ["a/tiny", "a/middle", "a/strong", "rules/default"];

  test("complexity begins the higher the harder the request, and the weaker ones come after, the strongest first", () => {
    const route: RouteOptions = { strategy: "complexity", candidates: ladder };
    assert.equal(names(plan(route)), "tiny middle strong default");
    assert.equal(names(plan(route, { tools: 5 })), "middle strong tiny default");
    assert.equal(names(plan(route, { tools: 20 })), "strong middle tiny default");
    assert.deepEqual(plan(route, { tools: 5 }).choice, {
      strategy: "complexity",
      reason: "complexity 0.42 by its tools",
    });
  });

  test("saturation begins with the first that has room, and the full ones are asked when all others fail", () => {
    const route: RouteOptions = { strategy: "saturation", candidates: ["a/small", "a/large", "rules/default"] };
    assert.equal(names(plan(route, { chars: 2_000, maxOutputTokens: 300 })), "small large default");
    const full = plan(route, { chars: 2_000, maxOutputTokens: 301 });
    assert.equal(names(full), "large small default");
    assert.equal(full.choice.reason, "about 801 tokens would all but fill a/small");
  });

  test("small_first has the answers of the first rank checked", () => {
    const small = plan({ strategy: "small_first", candidates: ladder });
    assert.deepEqual([small.checkedRank, small.order[0]?.rank], [1, 1]);
    assert.equal(plan({ candidates: ladder }).checkedRank, null);
  });
});

test("a request is as complex as its hardest feature, whatever the language", () => {
  const say = (text: string): Message => ({ role: "user", text });
  assert.deepEqual(complexityOf({ messages: [say("Hi")], tools: [] }, 80), { score: 1 / 24, by: "turns" });
  assert.equal(complexityOf({ messages: [say("Hi")], tools: [] }, 8_000).by, "input");
  assert.equal(complexityOf({ messages: [say("- 一\n".repeat(30))], tools: [] }, 80).score, 0.5);
  assert.equal(complexityOf({ messages: [say("x".repeat(9_000))], tools: [] }, 80).score, 1);
});
