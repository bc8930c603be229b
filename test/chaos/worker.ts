/**
 * A worker of the chaos run: what `holdfast serve --roles worker` is, with a scripted model in it. Prints its process id when
 * it works; logs to stderr.
 */
import { createHoldfast, type Tuning } from "../../src/holdfast.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { readSettings } from "../../src/platform/settings.ts";
import { untilSignalled } from "../../src/cli/signals.ts";
import { courierConfig, courierModel } from "./agent.ts";
import { openLedger } from "./ledger.ts";

export interface WorkerOrders {
  readonly databaseUrl: string;
  readonly ledger: string;
  readonly tuning: Partial<Tuning>;
  /** Default: the courier. */
  readonly agents?: readonly string[];
}

const { databaseUrl, ledger, tuning, agents } = JSON.parse(process.argv[2] ?? "") as WorkerOrders;
const signalled = untilSignalled(systemClock);
const holdfast = await createHoldfast(courierConfig(openLedger(ledger)), {
  settings: readSettings({ DATABASE_URL: databaseUrl, HOLDFAST_LOG_FORMAT: "text", HOLDFAST_LOG_LEVEL: "warn" }),
  roles: ["worker"],
  parts: { gateway: courierModel },
  tuning,
  ...(agents !== undefined && { hostedAgents: agents }),
});
console.log(process.pid);
await signalled;
await holdfast.stop();
