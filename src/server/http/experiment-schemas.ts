/** What the routes of faults and drills take and answer. */
import { z } from "zod";
import type * as wire from "../../client/wire.ts";
import { faultKinds, injectableErrors, longestForMs, mostFaults } from "../../gateway/experiments/fault-rules.ts";

const share = z.number().min(0).max(1);
const forMs = z.int().min(1).max(longestForMs);

const fault = {
  model: z.string().min(1).max(200).describe('`provider/model`; `*` stands for any characters, as in "openai/*".'),
  kind: z.enum(faultKinds),
  share: share.exactOptional().describe("Of the attempts; default 1."),
  ms: z.number().min(0).exactOptional().describe("Latency."),
  jitter_ms: z.number().min(0).exactOptional().describe("Up to so much more of it."),
  error: z.enum(injectableErrors).exactOptional(),
  retry_after_ms: z.number().min(0).exactOptional().describe("What the error asks to wait."),
  after: z.int().min(0).exactOptional().describe("Pieces of the reply before a cut or a hang."),
};

export const faultsBody = z
  .strictObject({
    faults: z.array(z.strictObject(fault)).min(1).max(mostFaults),
    for_ms: forMs.default(900_000).describe("They end by themselves after so long."),
  })
  .meta({ title: "FaultsBody" }) satisfies z.ZodType<wire.FaultsBody>;

export const faults = z
  .object({
    game_day: z.boolean().describe("Whether this environment allows faults at all."),
    items: z.array(z.object({ ...fault, ends_at: z.iso.datetime() })),
  })
  .meta({ title: "Faults" }) satisfies z.ZodType<wire.Faults>;

export const drillBody = z
  .strictObject({
    share: z.number().gt(0).max(1).default(0.1).describe("Of the calls that have a fallback."),
    for_ms: forMs.default(3_600_000).describe("The drill ends by itself after so long."),
  })
  .meta({ title: "DrillBody" }) satisfies z.ZodType<wire.DrillBody>;

export const drillQuery = z.strictObject({
  hours: z.coerce.number().min(1).max(2_160).default(168).describe("How far back; default a week."),
});

const percentiles = z.object({ p50: z.number().nullable(), p95: z.number().nullable() });
const path = z.object({
  models: z.array(z.string()),
  calls: z.int().min(0),
  answered: z.int().min(0),
  success_share: z.number().nullable(),
  latency_ms: percentiles,
  ttft_ms: percentiles,
  tokens: z.int().min(0),
  cost_usd: z.number().nullable(),
  cost_per_call_usd: z.number().nullable(),
});

export const drill = z
  .object({
    share: share.describe("Of the calls, now; 0: there is no drill."),
    source: z.enum(["config", "request"]).nullable(),
    ends_at: z.iso.datetime().nullable(),
    routes: z.array(z.object({ primary: path, fallback: path })),
  })
  .meta({ title: "Drill" }) satisfies z.ZodType<wire.Drill>;
