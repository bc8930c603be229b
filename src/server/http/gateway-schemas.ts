/** What `GET /gateway` takes and answers. */
import { z } from "zod";
import type * as wire from "../../client/wire.ts";

const count = z.int().min(0);
const share = z.number().min(0).max(1);
const moment = z.iso.datetime();
const percentiles = z.object({ p50: z.number(), p95: z.number(), p99: z.number(), count }).nullable();

export const gatewayQuery = z.strictObject({
  hours: z.coerce.number().min(1).max(2_160).default(24).describe("How far back the caches are looked at."),
});

const route = z.object({
  name: z.string().describe("`agent/<name>`, or as the configuration calls it."),
  models: z.array(z.string()).describe("In the order they are tried."),
  out: z.array(z.string()).describe("Those that are not called now, because their breaker is open."),
});

const model = z.object({
  model: z.string(),
  breaker: z.object({
    state: z.enum(["closed", "open", "half_open"]),
    open_until: moment.nullable(),
    consecutive_failures: count,
    calls: count.describe("Of the last minute."),
    failures: count,
    last_failure: z.object({ at: moment, code: z.string(), message: z.string() }).nullable(),
  }),
  gate: z.array(
    z.object({
      key: count,
      waiting: count,
      in_flight: count,
      max_concurrent: z.number().nullable(),
      requests_per_minute: z.number().nullable(),
      tokens_per_minute: z.number().nullable(),
      blocked_for_ms: z.number(),
    }),
  ),
  attempts: z.object({ answered: count, failed: count, skipped: count, hedged: count }),
  retries_left: count,
  ttft_ms: percentiles,
  tpot_ms: percentiles,
});

const answers = z.object({
  agent: z.string().nullable().describe("Null: outside programs."),
  model: z.string().describe("Which answered, now or when the answer was made."),
  lookups: count.describe("Calls that allow an answer to be given again."),
  hits: count,
  shared: count.describe("An equal call was under way, and its answer was shared."),
  stale: count.describe("No model could be reached, and an old answer stood in."),
  misses: count,
  hit_share: share,
  saved_tokens: count,
  saved_usd: z.number(),
});

const prompts = z.object({
  model: z.string(),
  calls: count.describe("Those whose tokens the provider reported."),
  input_tokens: count,
  cached_tokens: count,
  hit_share: share,
});

export const gatewayState = z
  .object({
    since: moment.describe("When the process that answers began; its `models` are counted from then on."),
    routes: z.array(route),
    models: z.array(model).describe("Those that this process called."),
    experiments: z.object({
      drill: z.object({ share, source: z.enum(["config", "request"]).nullable(), ends_at: moment.nullable() }),
      faults: count.describe("Injected into model calls now."),
    }),
    caches: z
      .object({ hours: z.number(), answers: z.array(answers), prompts: z.array(prompts) })
      .nullable()
      .describe("Of all processes; null: the store did not answer in time."),
  })
  .meta({ title: "GatewayState" }) satisfies z.ZodType<wire.GatewayState>;
