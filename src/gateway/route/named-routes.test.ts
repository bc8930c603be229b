import assert from "node:assert/strict";
import { test } from "node:test";
import { modelsOf } from "../../agent/route.ts";
import { namedRoutes } from "./named-routes.ts";

test("a route has a short name, and is whatever an agent's model may be", () => {
  const routes = namedRoutes({ routes: { fast: "openai/gpt-5-mini", "gpt-4.1": ["openai/gpt-5", "rules/default"] } });
  assert.deepEqual(
    [...routes].map(([name, route]) => [name, modelsOf(route)]),
    [
      ["fast", ["openai/gpt-5-mini"]],
      ["gpt-4.1", ["openai/gpt-5", "rules/default"]],
    ],
  );
  assert.equal(namedRoutes().size, 0);
});

test("a name with a slash, a candidate that is none and a route without any are refused with their path", () => {
  const refused = (routes: Record<string, string | string[]>, path: string) =>
    assert.throws(() => namedRoutes({ routes }), { code: "invalid_config", path });
  refused({ "openai/fast": "openai/gpt-5" }, "/gateway/routes/openai~1fast");
  refused({ fast: "gpt-5" }, "/gateway/routes/fast");
  refused({ none: [] }, "/gateway/routes/none");
});
