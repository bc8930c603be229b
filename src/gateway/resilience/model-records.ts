/** What this process has learned of each model it called: breaker, retry budget, how fast it answers, how often it failed. */
import type { Clock } from "../../platform/clock.ts";
import { Breaker, type BreakerSettings, type BreakerState } from "./breaker.ts";
import type { GateStatus } from "../gate/gate.ts";
import type { AttemptCounts, ModelStatus, Percentiles } from "../model-gateway.ts";
import { RetryBudget, type RetryBudgetSettings } from "./retry-budget.ts";
import { ReplyTimes } from "./reply-times.ts";
import { Samples } from "./samples.ts";

export interface ModelRecord {
  readonly breaker: Breaker;
  readonly retries: RetryBudget;
  readonly ttftMs: Samples;
  readonly tpotMs: Samples;
  readonly replies: ReplyTimes;
  readonly attempts: { -readonly [Count in keyof AttemptCounts]: AttemptCounts[Count] };
}

export interface ModelRecords {
  of(model: string): ModelRecord;
  status(gates: readonly GateStatus[]): ModelStatus[];
}

export interface ModelRecordsDeps {
  readonly clock: Clock;
  readonly breaker: BreakerSettings;
  readonly retryBudget: RetryBudgetSettings;
  readonly onBreaker: (model: string, state: BreakerState) => void;
}

// Names may come from callers, so their number has a bound.
const mostModels = 1_000;

export function createModelRecords(deps: ModelRecordsDeps): ModelRecords {
  const records = new Map<string, ModelRecord>();
  /** Their names, the one that was called longest ago first. */
  const calledLast = new Set<string>();
  return {
    of(model) {
      const record = records.get(model) ?? makeRecord(model, deps);
      records.set(model, record);
      calledLast.delete(model);
      calledLast.add(model);
      // Made-up names must not push out a model in use.
      for (const oldest of calledLast) {
        if (records.size <= mostModels) break;
        records.delete(oldest);
        calledLast.delete(oldest);
      }
      return record;
    },
    status: (gates) =>
      [...records].map(([model, record]) => ({
        model,
        breaker: record.breaker.status(),
        gate: gates.filter((gate) => gate.model === model),
        attempts: { ...record.attempts },
        retriesLeft: record.retries.left,
        ttftMs: spreadOf(record.ttftMs),
        tpotMs: spreadOf(record.tpotMs),
      })),
  };
}

function makeRecord(model: string, { clock, breaker, retryBudget, onBreaker }: ModelRecordsDeps): ModelRecord {
  return {
    breaker: new Breaker({ clock, settings: breaker, onChange: (state) => onBreaker(model, state) }),
    retries: new RetryBudget(retryBudget),
    ttftMs: new Samples(),
    tpotMs: new Samples(),
    replies: new ReplyTimes(),
    attempts: { answered: 0, failed: 0, skipped: 0, hedged: 0 },
  };
}

function spreadOf(samples: Samples): Percentiles | null {
  if (samples.count === 0) return null;
  const [p50 = 0, p95 = 0, p99 = 0] = samples.percentiles(0.5, 0.95, 0.99).map((value) => value ?? 0);
  return { p50, p95, p99, count: samples.count };
}
