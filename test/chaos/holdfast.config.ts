/** What the API process of the chaos run serves. */
import { courierConfig } from "./agent.ts";
import { openLedger } from "./ledger.ts";

export default courierConfig(openLedger(process.env["CHAOS_LEDGER"] ?? ""));
